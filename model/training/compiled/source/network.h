// The captioner's network: two convolutions, recurrent layers that read both ways, a dense layer.

#pragma once

#include <cstdint>
#include <vector>

#include "buffer.h"
#include "ctc.h"
#include "layers.h"
#include "layout.h"
#include "muon.h"
#include "packed.h"
#include "products.h"
#include "recurrent.h"

// What the utterances of a batch say.
struct Transcripts {
  const int *labels;   // one utterance after the other
  const int *counts;   // labels of each utterance
  const float *shares; // what each utterance's loss is multiplied with in the sum
  float consistency;   // weight of the difference of two utterances that are a pair, or 0
};

// What a recurrent layer keeps from the way there for the way back.
struct LayerState {
  Buffer<Factor> inputs;   // (rows, entering), after dropout
  Buffer<uint8_t> kept;    // (rows, entering), by dropout
  Buffer<float> projected; // (rows, 2, 3, units)
  Buffer<float> outputs;   // (rows, 2, units), before normalisation
  Buffer<Moments> moments; // (rows)
  DirectionState direction[DIRECTIONS];
};

// What a convolution keeps.
struct ConvolutionState {
  Buffer<Factor> inputs;   // frames with their padding
  Buffer<float> outputs;   // (frames, filters), before normalisation
  Buffer<Moments> moments; // (frames)
  Buffer<Factor> gradient; // of the outputs
};

class Network {
public:
  explicit Network(const Shape &shape)
      : shape(shape), layout(shape), packed(shape), layers(shape.layers) {}

  const Shape shape;
  const Layout layout;
  Muon muon;

  // Computes the logits of the frames of all utterances: (rows, PANEL), of which the first are
  // those of the symbols.
  const float *read(const float *weights, const Frames &frames, const float *features,
                    const Dropout &dropout, bool back) {
    packed.take_in(layout, weights, back);
    convolve(weights, frames, features, dropout);
    for (int layer = 0; layer < shape.layers; layer++)
      read_layer(layer, weights, frames, dropout);
    float bias[PANEL] = {};
    std::copy_n(weights + layout.dense_bias, shape.symbols, bias);
    float *result = logits.room(frames.rows * PANEL);
    multiply_together(int(frames.rows), PANEL, shape.width(), last.get(), shape.width(),
                      packed.dense.get(), result, PANEL, bias);
    return result;
  }

  // Sets the loss of each utterance after `read`, and keeps its gradient for `differentiate`.
  void judge(const Frames &frames, const Transcripts &transcripts, double *losses);

  // Sets the gradient of the sum of the utterances' losses times their shares, after `judge`.
  void differentiate(const float *weights, const Frames &frames, const Dropout &dropout,
                     float *gradients);

private:
  PackedWeights packed;
  ConvolutionState convolutions[CONVOLUTIONS];
  std::vector<LayerState> layers;
  RecurrentScratch scratch;
  Buffer<Factor> last;             // (rows, width) what enters the dense layer
  Buffer<float> logits, to_logits; // (rows, PANEL), and their gradient
  Buffer<double> alignments;
  Buffer<float> above, to_outputs, partial, biases, product, windows;
  Buffer<Factor> to_inputs, to_inner, right, transposed, narrow;

  Norm<const float> norm(const float *weights, const NormPlace &place) const {
    return {weights + place.gamma, weights + place.beta};
  }

  // --- the way there ---

  void convolve(const float *weights, const Frames &frames, const float *features,
                const Dropout &dropout) {
    for (int index = 0; index < CONVOLUTIONS; index++) {
      size_t after = frames.start[index + 1].back();
      size_t padded = frames.padded[index].back();
      // Windows may be read up to a whole group.
      convolutions[index].inputs.room(padded * shape.convolved(index) + PAIR);
      convolutions[index].outputs.room(after * shape.filters);
      convolutions[index].moments.room(after);
    }
    layers[0].inputs.room(frames.rows * shape.filters);
    layers[0].kept.room(frames.rows * shape.filters);
#pragma omp parallel for schedule(dynamic, 1)
    for (int own = 0; own < frames.utterances; own++) {
      enter(frames, own, features);
      convolve_one(0, weights, frames, own);
      rectify(weights, frames, own);
      convolve_one(1, weights, frames, own);
      leave_convolutions(weights, frames, own, dropout);
    }
  }

  // An utterance's first frame of padding among a convolution's inputs.
  Factor *padded_inputs(int index, const Frames &frames, int own) {
    return convolutions[index].inputs.get() + frames.padded[index][own] * shape.convolved(index);
  }

  // Sets an utterance's padding to zeros; returns where its own frames begin.
  Factor *pad(int index, const Frames &frames, int own) {
    size_t size = shape.convolved(index), before = Frames::before(shape, index) * size;
    Factor *padded = padded_inputs(index, frames, own);
    Factor *end = padded + (frames.count[index][own] + Frames::spare(shape, index)) * size;
    std::fill_n(padded, before, factor(0));
    std::fill(padded + before + frames.count[index][own] * size, end, factor(0));
    return padded + before;
  }

  void enter(const Frames &frames, int own, const float *features) {
    const float *from = features + frames.start[0][own] * shape.features;
    Factor *to = pad(0, frames, own);
    size_t count = size_t(frames.count[0][own]) * shape.features, i = 0;
    for (; i + LANES <= count; i += LANES) store_factors(to + i, load(from + i));
    for (; i < count; i++) to[i] = factor(from[i]);
  }

  void convolve_one(int index, const float *weights, const Frames &frames, int own) {
    int size = shape.convolved(index);
    size_t start = frames.start[index + 1][own];
    float *outputs = convolutions[index].outputs.get() + start * shape.filters;
    multiply(frames.count[index + 1][own], shape.filters, shape.kernels[index] * size,
             padded_inputs(index, frames, own), size_t(STRIDE) * size, packed.kernel[index].get(),
             outputs, shape.filters, weights + layout.bias[index]);
    for (int i = 0; i < frames.count[index + 1][own]; i++)
      convolutions[index].moments.get()[start + i] =
          moments(outputs + size_t(i) * shape.filters, shape.filters);
  }

  // What leaves a convolution after its normalisation.
  Vector activated(int index, const float *weights, size_t frame, int i) {
    return rectified(normalised(convolutions[index].outputs.get() + frame * shape.filters,
                                convolutions[index].moments.get()[frame],
                                norm(weights, layout.convolution_norm[index]), i));
  }

  void rectify(const float *weights, const Frames &frames, int own) {
    Factor *to = pad(1, frames, own);
    size_t start = frames.start[1][own];
    for (int frame = 0; frame < frames.count[1][own]; frame++)
      for (int i = 0; i < shape.filters; i += LANES)
        store_factors(to + size_t(frame) * shape.filters + i,
                      activated(0, weights, start + frame, i));
  }

  void leave_convolutions(const float *weights, const Frames &frames, int own,
                          const Dropout &dropout) {
    size_t start = frames.start[2][own];
    for (int frame = 0; frame < frames.count[2][own]; frame++)
      drop(0, frames.first[frame] + own, dropout,
           [&](int i) { return activated(1, weights, start + frame, i); });
  }

  // Lets a frame into a recurrent layer.
  template <class ValuesAt>
  void drop(int layer, size_t row, const Dropout &dropout, ValuesAt values_at) {
    int size = shape.entering(layer);
    Factor *to = layers[layer].inputs.get() + row * size;
    if (!dropout.on) {
      for (int i = 0; i < size; i += LANES) store_factors(to + i, values_at(i));
      return;
    }
    uint8_t *kept = layers[layer].kept.get() + row * size;
    dropout.draw(layer, row, size, kept);
    for (int i = 0; i < size; i += LANES)
      store_factors(to + i, dropout.apply(values_at(i), kept + i));
  }

  void read_layer(int layer, const float *weights, const Frames &frames, const Dropout &dropout) {
    LayerState &own = layers[layer];
    int gates = shape.gates(), entering = shape.entering(layer);
    const RecurrentPlace *at = &layout.recurrent[DIRECTIONS * layer];
    std::vector<float> bias;
    for (int direction = 0; direction < DIRECTIONS; direction++) {
      const float *first = weights + at[direction].bias;
      bias.insert(bias.end(), first, first + gates);
      own.direction[direction].before.room(frames.rows * shape.units);
      own.direction[direction].gates.room(frames.rows * 2 * shape.units);
      own.direction[direction].slopes.room(frames.rows * gates);
    }
    float *projected = own.projected.room(frames.rows * DIRECTIONS * gates);
    float *outputs = own.outputs.room(frames.rows * shape.width());
    // The directions are packed one after the other, which is as one matrix: whole panels.
    multiply_together(int(frames.rows), DIRECTIONS * gates, entering, own.inputs.get(), entering,
                      packed.inputs[layer].get(), projected, DIRECTIONS * gates, bias.data());
    scratch.prepare(shape, frames.utterances);
    std::vector<Stripe> shared = stripes(frames.utterances);
#pragma omp parallel for schedule(dynamic, 1)
    for (size_t i = 0; i < shared.size(); i++) {
      int direction = shared[i].direction;
      recur(shape, frames, shared[i], projected,
            packed.recurrent[DIRECTIONS * layer + direction].get(),
            weights + at[direction].bias + gates, outputs, own.direction[direction], scratch);
    }
    leave_layer(layer, weights, frames, dropout);
  }

  // Normalises a layer's outputs and lets them into the next one.
  void leave_layer(int layer, const float *weights, const Frames &frames, const Dropout &dropout) {
    int width = shape.width();
    bool inner = layer + 1 < shape.layers;
    const float *outputs = layers[layer].outputs.get();
    Moments *own = layers[layer].moments.room(frames.rows);
    if (inner) {
      layers[layer + 1].inputs.room(frames.rows * width);
      layers[layer + 1].kept.room(frames.rows * width);
    } else {
      last.room(frames.rows * width);
    }
    Norm<const float> own_norm = norm(weights, layout.recurrent_norm[layer]);
#pragma omp parallel for
    for (size_t row = 0; row < frames.rows; row++) {
      const float *frame = outputs + row * width;
      own[row] = moments(frame, width);
      auto values = [&](int i) { return normalised(frame, own[row], own_norm, i); };
      if (inner)
        drop(layer + 1, row, dropout, values);
      else
        for (int i = 0; i < width; i += LANES)
          store_factors(last.get() + row * width + i, values(i));
    }
  }

  // --- the way back ---

  // gradient (columns, others) = transpose of the rows, times right (rows, others), packed.
  template <class RowAt>
  void add_up(size_t rows, int columns, RowAt row_at, int others, const Factor *right_rows,
              float *gradient) {
    int depth = round_up(int(rows), PAIR);
    Factor *left = transposed.room(size_t(columns) * depth);
    Factor *factors = right.room(packed_size(depth, others));
    transpose(int(rows), columns, row_at, left);
    pack_factors(int(rows), others, right_rows, factors);
    multiply_together(columns, others, depth, left, depth, factors, gradient, others);
  }

  void dense_back(const Frames &frames, float *gradients);
  void layer_back(int layer, const float *weights, const Frames &frames, const Dropout &dropout,
                  float *gradients);
  void normalise_layer_back(int layer, const float *weights, const Frames &frames,
                            float *gradients);
  void recur_layer_back(int layer, const Frames &frames, float *gradients);
  void kernels_back(int layer, const Frames &frames, float *gradients);
  void inputs_back(int layer, const Frames &frames, const Dropout &dropout);
  void convolutions_back(const float *weights, const Frames &frames, float *gradients);
  template <class AboveAt>
  void activations_back(int index, const float *weights, const Frames &frames, int own,
                        AboveAt above_at, float *sums, float *scratch);
  void windows_back(const Frames &frames, int own, float *inputs, float *read);
  void convolution_kernel_back(int index, const Frames &frames, float *gradient);
};
