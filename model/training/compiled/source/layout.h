// Where the weights are, and where the frames of a batch are.

#pragma once

#include <cstddef>
#include <vector>

constexpr int CONVOLUTIONS = 2, STRIDE = 2, DIRECTIONS = 2, GATES = 3;

// Sizes of a network; see NetworkSettings.
struct Shape {
  int features, symbols, layers, filters, units;
  int kernels[CONVOLUTIONS];

  int width() const { return DIRECTIONS * units; }
  int gates() const { return GATES * units; }
  // Size of a frame that enters a convolution, or a recurrent layer.
  int convolved(int index) const { return index ? filters : features; }
  int entering(int layer) const { return layer ? width() : filters; }
  int widest() const { return filters > width() ? filters : width(); }
};

struct NormPlace {
  size_t gamma, beta;
};

// Matrices of the same size beside each other, as the gates of a recurrent layer have them.
struct MatrixPlace {
  size_t start;
  int rows, columns, gates;

  size_t end() const { return start + size_t(rows) * columns * gates; }
};

struct RecurrentPlace {
  size_t kernel, recurrent, bias;
};

// The place of each weight among all of them, one after the other.
struct Layout {
  size_t kernel[CONVOLUTIONS], bias[CONVOLUTIONS];
  NormPlace convolution_norm[CONVOLUTIONS];
  std::vector<RecurrentPlace> recurrent;  // both directions of the first layer, and so on
  std::vector<NormPlace> recurrent_norm;
  size_t dense_kernel, dense_bias;
  std::vector<MatrixPlace> matrices;  // all but the dense layer's, one after the other
  size_t size = 0;

  explicit Layout(const Shape &shape) {
    size_t filters = shape.filters, gates = shape.gates(), width = shape.width();
    for (int index = 0; index < CONVOLUTIONS; index++) {
      kernel[index] = take_matrix(shape.kernels[index] * shape.convolved(index), shape.filters, 1);
      bias[index] = take(filters);
      convolution_norm[index] = take_norm(filters);
    }
    for (int layer = 0; layer < shape.layers; layer++) {
      for (int direction = 0; direction < DIRECTIONS; direction++) {
        size_t own = take_matrix(shape.entering(layer), shape.units, GATES);
        size_t inner = take_matrix(shape.units, shape.units, GATES);
        recurrent.push_back({own, inner, take(2 * gates)});
      }
      recurrent_norm.push_back(take_norm(width));
    }
    dense_kernel = take(width * shape.symbols);
    dense_bias = take(shape.symbols);
  }

private:
  size_t take(size_t count) {
    size += count;
    return size - count;
  }

  size_t take_matrix(int rows, int columns, int gates) {
    matrices.push_back({size, rows, columns, gates});
    return take(matrices.back().end() - size);
  }

  NormPlace take_norm(size_t count) {
    size_t gamma = take(count);
    return {gamma, take(count)};
  }
};

// The frames of a batch's utterances, longest first, none of which is padded.
//
// Frames of the convolutions lie utterance by utterance; those of the recurrent layers step by
// step: the first frames of all utterances, then the second ones of those that have two.
struct Frames {
  int utterances, steps = 0;
  size_t rows = 0;                       // of all recurrent steps
  std::vector<int> count[3];             // frames of each utterance that enter, and leave, each
  std::vector<size_t> start[3];          // first of them among those of all utterances
  std::vector<size_t> padded[2];         // the same with the padding of the convolutions
  std::vector<int> present;              // utterances in each recurrent step
  std::vector<size_t> first;             // first row of each step

  Frames(const Shape &shape, int utterances, const int *lengths) : utterances(utterances) {
    for (int level = 0; level < 3; level++) {
      start[level].push_back(0);
      for (int i = 0; i < utterances; i++) {
        count[level].push_back(level ? (count[level - 1][i] + 1) / STRIDE : lengths[i]);
        start[level].push_back(start[level][i] + count[level][i]);
      }
    }
    for (int level = 0; level < 2; level++) {
      padded[level].push_back(0);
      for (int i = 0; i < utterances; i++)
        padded[level].push_back(padded[level][i] + count[level][i] + spare(shape, level));
    }
    steps = count[2][0];
    for (int step = 0, own = utterances; step < steps; step++) {
      while (count[2][own - 1] <= step) own--;
      present.push_back(own);
      first.push_back(rows);
      rows += own;
    }
  }

  // Frames of zeros around an utterance: before it, and as many behind it and two more.
  static int before(const Shape &shape, int level) { return shape.kernels[level] / 2; }
  static int spare(const Shape &shape, int level) { return 2 * before(shape, level) + 2; }
};
