// A training step of the captioner's network, for Python's ctypes.
//
// Arrays are checked by the caller.  No exception leaves: functions return 0, or 1 where memory
// ran out.

#include <cstdint>
#include <new>

#include "adam.h"
#include "gradient.h"
#include "network.h"

namespace {

// Returns 0, or 1 where memory ran out.
template <class Work> int guarded(Work work) {
  try {
    work();
    return 0;
  } catch (const std::bad_alloc &) {
    return 1;
  }
}

} // namespace

extern "C" {

// Bits of the numbers that are multiplied: 16 or 32.
int factor_bits() { return FACTOR_BITS; }

// sizes: features, symbols, layers, filters, units and the two kernels.  Null where memory ran
// out.
Network *network_open(const int *sizes) {
  Network *network = nullptr;
  guarded([&] {
    Shape shape{sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], {sizes[5], sizes[6]}};
    network = new Network(shape);
  });
  return network;
}

void network_close(Network *network) { delete network; }

// Numbers in the weights.
size_t network_size(const Network *network) { return network->layout.size; }

// Computes logits (rows, symbols), step by step; see Frames.
//
// features: (frames of all utterances, features); lengths: frames of each, longest first.
int network_read(Network *network, const float *weights, int utterances, const float *features,
                 const int *lengths, float *logits) {
  return guarded([&] {
    Frames frames(network->shape, utterances, lengths);
    const float *found = network->read(weights, frames, features, Dropout(0, 0), false);
    for (size_t row = 0; row < frames.rows; row++)
      std::copy_n(found + row * PANEL, network->shape.symbols,
                  logits + row * network->shape.symbols);
  });
}

// Computes the loss of each utterance, and the gradient of the sum of these times the shares.
//
// labels: of one utterance after the other; dropout: share of the recurrent layers' inputs that
// is dropped, drawn by the seed; consistency: weight of what tells the utterances of a pair, one
// after the other in order, apart, or 0.
int network_learn(Network *network, const float *weights, float *gradients, int utterances,
                  const float *features, const int *lengths, const int *labels,
                  const int *label_counts, const float *shares, float dropout, float consistency,
                  uint64_t seed, double *losses) {
  return guarded([&] {
    Frames frames(network->shape, utterances, lengths);
    Dropout own(dropout, seed);
    network->read(weights, frames, features, own, true);
    network->judge(frames, {labels, label_counts, shares, consistency}, losses);
    network->differentiate(weights, frames, own, gradients);
  });
}

// Makes a step of Adam, or of Muon for the matrices but the last layer's, the gradients clipped to
// a norm; returns the norm before.  Where that is not finite nothing is changed; it is below 0
// where memory ran out.
double network_move(Network *network, int muon, float *weights, const float *gradients,
                    float *momentum, float *velocity, int64_t step, float learning_rate,
                    float largest_norm) {
  size_t size = network->layout.size;
  double norm = gradient_norm(size, gradients);
  if (!std::isfinite(norm)) return norm;
  float scale = norm > largest_norm ? float(largest_norm / norm) : 1.f;
  Moving moving{weights, momentum, velocity};
  Stride stride{scale, step, learning_rate};
  int failed = guarded([&] {
    if (muon)
      network->muon.move(network->layout, moving, gradients, stride);
    else
      move_weights(0, size, moving, gradients, stride);
  });
  return failed ? -1 : norm;
}
}
