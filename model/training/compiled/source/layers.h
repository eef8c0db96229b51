// Layers that work on one frame, and sums that do not depend on the number of threads.

#pragma once

#include <cmath>

#include "vectors.h"

// Sums over many rows are made in so many parts, each by one thread, and then added in order.
constexpr int PARTS = 32;

// The first row of a part; that of PARTS is `rows`.
inline size_t part_start(size_t rows, int part) { return rows * part / PARTS; }

// Mean and reciprocal of the deviation of a frame, as layer normalisation (Ba et al., 2016) uses.
struct Moments {
  float mean, scale;
};

constexpr float NORM_EPSILON = 1e-3f;

inline Moments moments(const float *frame, int size) {
  Vector sum = splat(0), squares = splat(0);
  for (int i = 0; i < size; i += LANES) sum += load(frame + i);
  float mean = total(sum) / size;
  for (int i = 0; i < size; i += LANES) {
    Vector distance = load(frame + i) - mean;
    squares += distance * distance;
  }
  return {mean, 1 / std::sqrt(total(squares) / size + NORM_EPSILON)};
}

// Weights of a normalisation, or their gradients.
template <class Float> struct Norm {
  Float *gamma, *beta;
};

inline Vector normalised(const float *frame, Moments own, Norm<const float> norm, int i) {
  return (load(frame + i) - own.mean) * own.scale * load(norm.gamma + i) + load(norm.beta + i);
}

// Turns the gradient of a normalised frame into that of the frame, in place or not, and adds that
// of the weights to `sums`.
inline void normalise_back(const float *frame, Moments own, const float *gamma,
                           const float *above, float *below, Norm<float> sums, int size) {
  Vector first = splat(0), second = splat(0);
  for (int i = 0; i < size; i += LANES) {
    Vector x = (load(frame + i) - own.mean) * own.scale, gradient = load(above + i);
    add_to(sums.gamma + i, gradient * x);
    add_to(sums.beta + i, gradient);
    Vector scaled = gradient * load(gamma + i);
    first += scaled;
    second += scaled * x;
  }
  float mean = total(first) / size, along = total(second) / size;
  for (int i = 0; i < size; i += LANES) {
    Vector x = (load(frame + i) - own.mean) * own.scale;
    Vector scaled = load(above + i) * load(gamma + i);
    store(below + i, (scaled - mean - x * along) * own.scale);
  }
}

// SplitMix64 (Steele et al., 2014): the next random number of a stream.
inline uint64_t mixed(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

// Which of a layer's inputs are kept, the same for the same seed, and what these are multiplied
// with.
struct Dropout {
  bool on;
  uint32_t threshold;
  float scale;
  uint64_t seed;

  Dropout(float share, uint64_t seed)
      : on(share > 0), threshold(uint32_t(std::lround(65536 * (1 - double(share))))),
        scale(threshold ? 65536.f / threshold : 0.f), seed(mixed(seed)) {}

  // Draws what is kept of a frame: 1 or 0 each; `size` must be a multiple of 4.
  void draw(int layer, size_t row, int size, uint8_t *kept) const {
    uint64_t stream = mixed(seed + uint64_t(layer)) + uint64_t(row) * size;
    for (int i = 0; i < size; i += 4) {
      uint64_t drawn = mixed(stream + i);
      for (int k = 0; k < 4; k++) kept[i + k] = ((drawn >> 16 * k) & 0xffff) < threshold;
    }
  }

  Vector apply(Vector values, const uint8_t *kept) const {
    return values * (load_bytes(kept) * scale);
  }
};
