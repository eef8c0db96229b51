// The way back through the network.

#pragma once

#include <omp.h>

#include "network.h"

inline void Network::judge(const Frames &frames, const Transcripts &transcripts, double *losses) {
  float *scores = logits.get(), *gradient = to_logits.zeros(frames.rows * PANEL);
#pragma omp parallel for
  for (size_t row = 0; row < frames.rows; row++) {
    float *frame = scores + row * PANEL;
    float highest = *std::max_element(frame, frame + shape.symbols);
    double sum = 0;
    for (int k = 0; k < shape.symbols; k++) sum += std::exp(double(frame[k] - highest));
    float whole = highest + float(std::log(sum));
    for (int k = 0; k < shape.symbols; k++) frame[k] -= whole;
  }
  std::vector<size_t> places;
  for (size_t first : frames.first) places.push_back(first * PANEL);
  std::vector<Utterance> all;
  std::vector<size_t> rooms{0};
  const int *labels = transcripts.labels;
  for (int i = 0; i < frames.utterances; i++) {
    all.push_back({frames.count[2][i], labels, transcripts.counts[i], shape.symbols,
                   scores + size_t(i) * PANEL, gradient + size_t(i) * PANEL, places.data(),
                   transcripts.shares[i]});
    labels += transcripts.counts[i];
    rooms.push_back(rooms.back() + all.back().workspace());
  }
  double *workspace = alignments.room(rooms.back());
#pragma omp parallel for schedule(dynamic, 1)
  for (int i = 0; i < frames.utterances; i++)
    losses[i] = utterance_loss(all[i], workspace + rooms[i]);
  if (transcripts.consistency > 0)
#pragma omp parallel for
    for (int i = 0; i < frames.utterances; i++)
      if (std::isfinite(losses[i]))
        losses[i] += pair_loss(all[i], all[i ^ 1], transcripts.consistency);
}

inline void Network::differentiate(const float *weights, const Frames &frames,
                                   const Dropout &dropout, float *gradients) {
  size_t all = frames.rows * shape.width();
  above.room(std::max(all, frames.rows * shape.widest()));
  to_outputs.room(all);
  to_inputs.room(all * GATES);
  to_inner.room(all * GATES);
  product.room(size_t(shape.widest()) * DIRECTIONS * shape.gates());
  dense_back(frames, gradients);
  for (int layer = shape.layers - 1; layer >= 0; layer--)
    layer_back(layer, weights, frames, dropout, gradients);
  convolutions_back(weights, frames, gradients);
}

inline void Network::dense_back(const Frames &frames, float *gradients) {
  const float *gradient = to_logits.get();
  size_t count = frames.rows * PANEL;
  int width = shape.width(), symbols = shape.symbols;
  Factor *factors = narrow.room(count + PAIR);
  for (size_t i = 0; i < count; i += LANES) store_factors(factors + i, load(gradient + i));
  float *bias = gradients + layout.dense_bias;
  std::fill_n(bias, symbols, 0.f);
  for (size_t row = 0; row < frames.rows; row++)
    for (int k = 0; k < symbols; k++) bias[k] += gradient[row * PANEL + k];
  add_up(frames.rows, width, [&](int row) { return last.get() + size_t(row) * width; }, PANEL,
         factors, product.get());
  for (int i = 0; i < width; i++)
    std::copy_n(product.get() + size_t(i) * PANEL, symbols,
                gradients + layout.dense_kernel + size_t(i) * symbols);
  multiply_together(int(frames.rows), width, symbols, factors, PANEL, packed.dense_back.get(),
                    above.get(), width);
}

inline void Network::layer_back(int layer, const float *weights, const Frames &frames,
                                const Dropout &dropout, float *gradients) {
  normalise_layer_back(layer, weights, frames, gradients);
  recur_layer_back(layer, frames, gradients);
  kernels_back(layer, frames, gradients);
  inputs_back(layer, frames, dropout);
}

inline void Network::normalise_layer_back(int layer, const float *weights, const Frames &frames,
                                          float *gradients) {
  int width = shape.width();
  const NormPlace &place = layout.recurrent_norm[layer];
  const LayerState &own = layers[layer];
  float *sums = partial.zeros(size_t(PARTS) * 2 * width);
#pragma omp parallel for schedule(static, 1)
  for (int part = 0; part < PARTS; part++) {
    Norm<float> part_sums{sums + size_t(part) * 2 * width, sums + (size_t(part) * 2 + 1) * width};
    for (size_t row = part_start(frames.rows, part); row < part_start(frames.rows, part + 1); row++)
      normalise_back(own.outputs.get() + row * width, own.moments.get()[row],
                     weights + place.gamma, above.get() + row * width,
                     to_outputs.get() + row * width, part_sums, width);
  }
  std::fill_n(gradients + place.gamma, 2 * width, 0.f);
  for (int part = 0; part < PARTS; part++)
    for (int i = 0; i < 2 * width; i++)
      gradients[place.gamma + i] += sums[size_t(part) * 2 * width + i];
}

inline void Network::recur_layer_back(int layer, const Frames &frames, float *gradients) {
  int units = shape.units, gates = shape.gates();
  size_t each = size_t(frames.utterances) * 4 * units;
  float *sums = biases.zeros(DIRECTIONS * each);
  scratch.prepare(shape, frames.utterances);
  std::vector<Stripe> shared = stripes(frames.utterances);
#pragma omp parallel for schedule(dynamic, 1)
  for (size_t i = 0; i < shared.size(); i++) {
    int direction = shared[i].direction;
    recur_back(shape, frames, shared[i], to_outputs.get(),
               packed.recurrent_back[DIRECTIONS * layer + direction].get(),
               layers[layer].direction[direction], to_inputs.get(),
               to_inner.get() + direction * frames.rows * gates, sums + direction * each, scratch);
  }
  for (int direction = 0; direction < DIRECTIONS; direction++) {
    float *bias = gradients + layout.recurrent[DIRECTIONS * layer + direction].bias;
    std::fill_n(bias, 2 * gates, 0.f);
    for (int own = 0; own < frames.utterances; own++) {
      const float *sum = sums + direction * each + size_t(own) * 4 * units;
      for (int i = 0; i < gates; i++) bias[i] += sum[i];
      for (int i = 0; i < 2 * units; i++) bias[gates + i] += sum[i];
      for (int i = 0; i < units; i++) bias[gates + 2 * units + i] += sum[3 * units + i];
    }
  }
}

inline void Network::kernels_back(int layer, const Frames &frames, float *gradients) {
  int units = shape.units, gates = shape.gates(), entering = shape.entering(layer);
  LayerState &own = layers[layer];
  add_up(frames.rows, entering, [&](int row) { return own.inputs.get() + size_t(row) * entering; },
         DIRECTIONS * gates, to_inputs.get(), product.get());
  for (int direction = 0; direction < DIRECTIONS; direction++) {
    const RecurrentPlace &place = layout.recurrent[DIRECTIONS * layer + direction];
    for (int i = 0; i < entering; i++)
      std::copy_n(product.get() + (size_t(i) * DIRECTIONS + direction) * gates, gates,
                  gradients + place.kernel + size_t(i) * gates);
    const Factor *before = own.direction[direction].before.get();
    add_up(frames.rows, units, [&](int row) { return before + size_t(row) * units; }, gates,
           to_inner.get() + direction * frames.rows * gates, gradients + place.recurrent);
  }
}

inline void Network::inputs_back(int layer, const Frames &frames, const Dropout &dropout) {
  int entering = shape.entering(layer), depth = DIRECTIONS * shape.gates();
  multiply_together(int(frames.rows), entering, depth, to_inputs.get(), depth,
                    packed.inputs_back[layer].get(), above.get(), entering);
  if (!dropout.on) return;
  const uint8_t *kept = layers[layer].kept.get();
#pragma omp parallel for
  for (size_t row = 0; row < frames.rows; row++)
    for (size_t i = row * entering; i < (row + 1) * entering; i += LANES)
      store(above.get() + i, dropout.apply(load(above.get() + i), kept + i));
}

// Goes back from what left a convolution to what it gave before its normalisation.
//
// above_at: gives the gradient of each frame of the utterance; sums: (3, filters) are added to,
// those of gamma, beta and the bias; scratch: room for a frame.
template <class AboveAt>
void Network::activations_back(int index, const float *weights, const Frames &frames, int own,
                               AboveAt above_at, float *sums, float *scratch) {
  int filters = shape.filters;
  const float *gamma = weights + layout.convolution_norm[index].gamma;
  ConvolutionState &state = convolutions[index];
  for (int i = 0; i < frames.count[index + 1][own]; i++) {
    size_t frame = frames.start[index + 1][own] + i;
    const float *from = above_at(i);
    for (int k = 0; k < filters; k += LANES) {
      Vector passed = load(from + k);
      store(scratch + k, activated(index, weights, frame, k) > splat(0) ? passed : splat(0));
    }
    normalise_back(state.outputs.get() + frame * filters, state.moments.get()[frame], gamma,
                   scratch, scratch, {sums, sums + filters}, filters);
    for (int k = 0; k < filters; k += LANES) {
      add_to(sums + 2 * filters + k, load(scratch + k));
      store_factors(state.gradient.get() + frame * filters + k, load(scratch + k));
    }
  }
}

// Goes back through the second convolution: inputs gets the gradient of an utterance's inputs
// with their padding; read: room for that of the windows that it read.
inline void Network::windows_back(const Frames &frames, int own, float *inputs, float *read) {
  int steps = frames.count[2][own], filters = shape.filters, window = shape.kernels[1] * filters;
  const Factor *gradient = convolutions[1].gradient.get() + frames.start[2][own] * filters;
  multiply(steps, window, filters, gradient, filters, packed.kernel_back.get(), read, window);
  std::fill_n(inputs, size_t(frames.count[1][own] + Frames::spare(shape, 1)) * filters, 0.f);
  for (int step = 0; step < steps; step++)
    for (int i = 0; i < window; i += LANES)
      add_to(inputs + size_t(step) * STRIDE * filters + i, load(read + size_t(step) * window + i));
}

inline void Network::convolutions_back(const float *weights, const Frames &frames,
                                       float *gradients) {
  constexpr int SUMS = 3;
  size_t filters = shape.filters, each = CONVOLUTIONS * SUMS * filters;
  size_t read_size = frames.steps * shape.kernels[1] * filters;
  size_t inputs_size = (frames.count[1][0] + Frames::spare(shape, 1)) * filters;
  size_t room = read_size + inputs_size + filters;
  float *sums = partial.zeros(frames.utterances * each);
  float *rooms = windows.room(omp_get_max_threads() * room);
  for (int index = 0; index < CONVOLUTIONS; index++)
    convolutions[index].gradient.room(frames.start[index + 1].back() * filters);
#pragma omp parallel for schedule(dynamic, 1)
  for (int own = 0; own < frames.utterances; own++) {
    float *read = rooms + omp_get_thread_num() * room, *inputs = read + read_size;
    float *frame = inputs + inputs_size, *own_sums = sums + own * each;
    auto leaving = [&](int i) { return above.get() + (frames.first[i] + own) * filters; };
    activations_back(1, weights, frames, own, leaving, own_sums + SUMS * filters, frame);
    windows_back(frames, own, inputs, read);
    auto between = [&](int i) { return inputs + (i + Frames::before(shape, 1)) * filters; };
    activations_back(0, weights, frames, own, between, own_sums, frame);
  }
  for (int index = 0; index < CONVOLUTIONS; index++) {
    const NormPlace &place = layout.convolution_norm[index];
    size_t places[SUMS] = {place.gamma, place.beta, layout.bias[index]};
    for (int kind = 0; kind < SUMS; kind++)
      for (size_t i = 0; i < filters; i++) {
        float sum = 0;
        for (int own = 0; own < frames.utterances; own++)
          sum += sums[own * each + (index * SUMS + kind) * filters + i];
        gradients[places[kind] + i] = sum;
      }
    convolution_kernel_back(index, frames, gradients + layout.kernel[index]);
  }
}

inline void Network::convolution_kernel_back(int index, const Frames &frames, float *gradient) {
  std::vector<const Factor *> read;
  for (int own = 0; own < frames.utterances; own++)
    for (int i = 0; i < frames.count[index + 1][own]; i++)
      read.push_back(padded_inputs(index, frames, own) +
                     size_t(i) * STRIDE * shape.convolved(index));
  add_up(read.size(), shape.kernels[index] * shape.convolved(index),
         [&](int row) { return read[row]; }, shape.filters, convolutions[index].gradient.get(),
         gradient);
}
