// Both directions of a layer of gated recurrent units (Cho et al., 2014), with the reset gate
// after the recurrent product; update, reset, candidate.
//
// Utterances do not depend on each other, so that threads share them.

#pragma once

#include <algorithm>
#include <vector>

#include <omp.h>

#include "buffer.h"
#include "layout.h"
#include "products.h"

// What one direction of a layer keeps from the way there for the way back.
struct DirectionState {
  Buffer<Factor> before;   // (rows, units) the output of the step before
  Buffer<Factor> gates;    // (rows, 2, units) update and reset
  Buffer<float> slopes;    // (rows, 3, units) by which the output changes with each gate's input
};

// Some of the utterances in one direction.
struct Stripe {
  int direction, from, to;

  // Utterances of it that take part in a step.
  int present(const Frames &frames, int step) const {
    return std::min(frames.present[step], to) - from;
  }
};

// Shares the utterances among the threads, both directions apart.
inline std::vector<Stripe> stripes(int utterances) {
  int count = std::max(1, std::min(utterances, omp_get_max_threads() / DIRECTIONS));
  std::vector<Stripe> all;
  for (int index = 0; index < count; index++)
    for (int direction = 0; direction < DIRECTIONS; direction++)
      all.push_back({direction, utterances * index / count, utterances * (index + 1) / count});
  return all;
}

// What the loops over the steps work with, one entry for each utterance and direction.
class RecurrentScratch {
public:
  void prepare(const Shape &own, int count) {
    shape = own;
    utterances = count;
    size_t every = size_t(DIRECTIONS) * count * own.units;
    states.zeros(every);
    factors.zeros(every);
    products.room(every * GATES);
  }

  float *state(const Stripe &own) { return states.get() + place(own); }
  Factor *factor_state(const Stripe &own) { return factors.get() + place(own); }
  float *product(const Stripe &own) { return products.get() + place(own) * GATES; }

private:
  size_t place(const Stripe &own) const {
    return (size_t(own.direction) * utterances + own.from) * shape.units;
  }

  Shape shape{};
  int utterances = 0;
  Buffer<float> states, products;
  Buffer<Factor> factors;
};

// One frame on the way there.
struct ForwardFrame {
  const float *inputs, *product;  // (3, units) each
  float *state, *output;
  Factor *factor_state, *gates;
  float *slopes;
};

inline void recur_frame(const ForwardFrame &frame, int units) {
  for (int i = 0; i < units; i += LANES) {
    const float *inputs = frame.inputs + i, *product = frame.product + i;
    Vector update = sigmoid(load(inputs) + load(product));
    Vector reset = sigmoid(load(inputs + units) + load(product + units));
    Vector inner = load(product + 2 * units);
    Vector candidate = hyperbolic_tangent(load(inputs + 2 * units) + reset * inner);
    Vector old = load(frame.state + i);
    Vector state = candidate + update * (old - candidate);
    store(frame.state + i, state);
    store(frame.output + i, state);
    store_factors(frame.factor_state + i, state);
    store_factors(frame.gates + i, update);
    store_factors(frame.gates + units + i, reset);
    Vector to_candidate = (1.f - update) * (1.f - candidate * candidate);
    store(frame.slopes + i, (old - candidate) * update * (1.f - update));
    store(frame.slopes + units + i, to_candidate * inner * reset * (1.f - reset));
    store(frame.slopes + 2 * units + i, to_candidate);
  }
}

// Reads a stripe's utterances.
//
// inputs: (rows, 2, 3, units), with their biases; kernel: packed; bias: (3, units) of the
// recurrent product; outputs: (rows, 2, units).
inline void recur(const Shape &shape, const Frames &frames, const Stripe &own,
                  const float *inputs, const Factor *kernel, const float *bias, float *outputs,
                  DirectionState &kept, RecurrentScratch &scratch) {
  int units = shape.units, gates = shape.gates();
  float *state = scratch.state(own), *product = scratch.product(own);
  Factor *factor_state = scratch.factor_state(own);
  for (int count = 0; count < frames.steps; count++) {
    int step = own.direction ? frames.steps - 1 - count : count;
    int present = own.present(frames, step);
    if (present <= 0) continue;
    size_t row = frames.first[step] + own.from;
    std::copy_n(factor_state, size_t(present) * units, kept.before.get() + row * units);
    multiply(present, gates, units, factor_state, units, kernel, product, gates, bias);
    for (int i = 0; i < present; i++, row++)
      recur_frame({inputs + (row * DIRECTIONS + own.direction) * gates, product + size_t(i) * gates,
                   state + size_t(i) * units,
                   outputs + (row * DIRECTIONS + own.direction) * units,
                   factor_state + size_t(i) * units, kept.gates.get() + row * 2 * units,
                   kept.slopes.get() + row * gates},
                  units);
  }
}

// One frame on the way back.
struct BackwardFrame {
  const float *above, *slopes;
  const Factor *gates;
  float *carried;           // gradient of the output, from the step that comes after
  Factor *inputs, *inner;   // (3, units) each: gradients of the inputs and the product
  float *bias;              // (4, units): sums of the same, the last for the inner candidate
};

inline void recur_frame_back(const BackwardFrame &frame, int units) {
  for (int i = 0; i < units; i += LANES) {
    Vector output = load(frame.above + i) + load(frame.carried + i);
    Vector update = output * load(frame.slopes + i);
    Vector reset = output * load(frame.slopes + units + i);
    Vector candidate = output * load(frame.slopes + 2 * units + i);
    Vector inner = candidate * load_values(frame.gates + units + i);
    store_factors(frame.inputs + i, update);
    store_factors(frame.inputs + units + i, reset);
    store_factors(frame.inputs + 2 * units + i, candidate);
    store_factors(frame.inner + i, update);
    store_factors(frame.inner + units + i, reset);
    store_factors(frame.inner + 2 * units + i, inner);
    add_to(frame.bias + i, update);
    add_to(frame.bias + units + i, reset);
    add_to(frame.bias + 2 * units + i, candidate);
    add_to(frame.bias + 3 * units + i, inner);
    store(frame.carried + i, output * load_values(frame.gates + i));
  }
}

// Goes back over a stripe's utterances.
//
// above: gradient of the outputs (rows, 2, units); kernel: packed, transposed; inputs: gets the
// gradient of the inputs (rows, 2, 3, units); inner: that of the recurrent product
// (rows, 3, units); biases: (utterances, 4, units) of this direction, added to.
inline void recur_back(const Shape &shape, const Frames &frames, const Stripe &own,
                       const float *above, const Factor *kernel, const DirectionState &kept,
                       Factor *inputs, Factor *inner, float *biases, RecurrentScratch &scratch) {
  int units = shape.units, gates = shape.gates();
  float *carried = scratch.state(own), *product = scratch.product(own);
  for (int count = 0; count < frames.steps; count++) {
    int step = own.direction ? count : frames.steps - 1 - count;
    int present = own.present(frames, step);
    if (present <= 0) continue;
    size_t first = frames.first[step] + own.from, row = first;
    for (int i = 0; i < present; i++, row++)
      recur_frame_back({above + (row * DIRECTIONS + own.direction) * units,
                        kept.slopes.get() + row * gates, kept.gates.get() + row * 2 * units,
                        carried + size_t(i) * units,
                        inputs + (row * DIRECTIONS + own.direction) * gates, inner + row * gates,
                        biases + size_t(own.from + i) * 4 * units},
                       units);
    multiply(present, units, gates, inner + first * gates, gates, kernel, product, units);
    for (size_t i = 0; i < size_t(present) * units; i += LANES)
      add_to(carried + i, load(product + i));
  }
}
