// Muon (Jordan et al., 2024): steps whose matrices are orthogonal.

#pragma once

#include <algorithm>
#include <cmath>

#include "adam.h"
#include "buffer.h"
#include "layout.h"
#include "products.h"

class Muon {
public:
  // Moves the matrices of a layout by Muon and all other weights by Adam.
  void move(const Layout &layout, Moving moving, const float *gradients, Stride stride) {
    for (const MatrixPlace &place : layout.matrices) make_room(place);
    size_t moved = 0;
    for (const MatrixPlace &place : layout.matrices) {
      move_weights(moved, place.start, moving, gradients, stride);
      gather(place, moving.momentum, gradients, stride.gradient_scale);
      for (int gate = 0; gate < place.gates; gate++) move_gate(place, gate, moving, stride);
      moved = place.end();
    }
    move_weights(moved, layout.size, moving, gradients, stride);
  }

private:
  static constexpr float MOMENTUM = 0.95f, STEP = 0.2f;
  static constexpr float FIRST = 3.4445f, SECOND = -4.7750f, THIRD = 2.0315f;
  static constexpr int TURNS = 5;

  Buffer<float> ahead;             // the momentum of all gates, looking ahead
  Buffer<float> matrix, change;    // (longer, shorter) of a gate, the longer side first
  Buffer<float> square, fourth;    // (shorter, shorter)
  Buffer<Factor> left, turned, right;

  static int longer(const MatrixPlace &place) { return std::max(place.rows, place.columns); }

  // The shorter side in whole panels: what is more holds zeros, and stays so.
  static int shorter(const MatrixPlace &place) {
    return round_up(std::min(place.rows, place.columns), PANEL);
  }

  // No weight is moved where there is no memory for all.
  void make_room(const MatrixPlace &place) {
    size_t longest = round_up(longer(place), PAIR), shortest = shorter(place);
    size_t all = std::max(longest, shortest) * shortest;
    ahead.room(place.end() - place.start);
    matrix.room(all);
    change.room(all);
    square.room(shortest * shortest);
    fourth.room(shortest * shortest);
    left.room(all + PAIR);
    turned.room(all + PAIR);
    right.room(packed_size(int(std::max(longest, shortest)), int(shortest)));
  }

  void gather(const MatrixPlace &place, float *momentum, const float *gradients, float scale) {
    float *found = ahead.get();
#pragma omp parallel for simd
    for (size_t i = place.start; i < place.end(); i++) {
      float gradient = gradients[i] * scale;
      momentum[i] = momentum[i] * MOMENTUM + gradient;
      found[i - place.start] = gradient + momentum[i] * MOMENTUM;
    }
  }

  // Where a gate's matrix has an entry, counted from the first weight of the place.
  static size_t entry(const MatrixPlace &place, int gate, int longer, int shorter) {
    int row = place.rows >= place.columns ? longer : shorter;
    int column = place.rows >= place.columns ? shorter : longer;
    return (size_t(row) * place.gates + gate) * place.columns + column;
  }

  void move_gate(const MatrixPlace &place, int gate, Moving moving, Stride stride) {
    int rows = longer(place), columns = shorter(place);
    int own = std::min(place.rows, place.columns);
    float *values = matrix.zeros(size_t(rows) * columns);
    double sum = 0;
    for (int i = 0; i < rows; i++)
      for (int k = 0; k < own; k++) {
        float value = ahead.get()[entry(place, gate, i, k)];
        values[size_t(i) * columns + k] = value;
        sum += double(value) * value;
      }
    float scale = 1 / (float(std::sqrt(sum)) + 1e-7f);
    for (size_t i = 0; i < size_t(rows) * columns; i++) values[i] *= scale;
    for (int turn = 0; turn < TURNS; turn++) turn_once(rows, columns);
    float length = stride.learning_rate * STEP * std::sqrt(float(rows));
    for (int i = 0; i < rows; i++)
      for (int k = 0; k < own; k++)
        moving.weights[place.start + entry(place, gate, i, k)] -=
            length * values[size_t(i) * columns + k];
  }

  // A turn of the iteration of Newton and Schulz, which draws all singular values towards 1.
  void turn_once(int rows, int columns) {
    float *values = matrix.get(), *first = square.get(), *second = fourth.get();
    int depth = round_up(rows, PAIR);
    Factor *factors = as_factors(values, size_t(rows) * columns);
    transpose(rows, columns, [&](int row) { return factors + size_t(row) * columns; },
              turned.get());
    pack_factors(rows, columns, factors, right.get());
    multiply_together(columns, columns, depth, turned.get(), depth, right.get(), first, columns);
    size_t count = size_t(columns) * columns;
    Factor *squared = as_factors(first, count);
    pack_factors(columns, columns, squared, right.get());
    multiply_together(columns, columns, columns, squared, columns, right.get(), second, columns);
    for (size_t i = 0; i < count; i++) second[i] = SECOND * first[i] + THIRD * second[i];
    pack(columns, columns, second, right.get());
    factors = as_factors(values, size_t(rows) * columns);
    multiply_together(rows, columns, columns, factors, columns, right.get(), change.get(),
                      columns);
    for (size_t i = 0; i < size_t(rows) * columns; i++)
      values[i] = FIRST * values[i] + change.get()[i];
  }

  Factor *as_factors(const float *values, size_t count) {
    for (size_t i = 0; i < count; i += LANES) store_factors(left.get() + i, load(values + i));
    return left.get();
  }
};
