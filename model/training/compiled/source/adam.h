// Adam (Kingma and Ba, 2015) with clipping by the norm of all gradients, as Keras has it.

#pragma once

#include <cmath>

#include "layers.h"

inline double gradient_norm(size_t size, const float *gradients) {
  double squares[PARTS];
#pragma omp parallel for schedule(static, 1)
  for (int part = 0; part < PARTS; part++) {
    double sum = 0;
    for (size_t i = part_start(size, part); i < part_start(size, part + 1); i++)
      sum += double(gradients[i]) * gradients[i];
    squares[part] = sum;
  }
  double sum = 0;
  for (double square : squares) sum += square;
  return std::sqrt(sum);
}

// Weights with what Adam keeps of their gradients.
struct Moving {
  float *weights, *momentum, *velocity;
};

// What all weights share in a step; `number` is 1 for the first.
struct Stride {
  float gradient_scale;
  int64_t number;
  float learning_rate;
};

inline void move_weights(size_t start, size_t end, Moving moving, const float *gradients,
                         Stride stride) {
  constexpr double FIRST_DECAY = 0.9, SECOND_DECAY = 0.999;
  constexpr float FIRST = float(1 - FIRST_DECAY), SECOND = float(1 - SECOND_DECAY);
  constexpr float EPSILON = 1e-7f;
  double first = 1 - std::pow(FIRST_DECAY, double(stride.number));
  double second = 1 - std::pow(SECOND_DECAY, double(stride.number));
  float rate = float(stride.learning_rate * std::sqrt(second) / first);
#pragma omp parallel for simd
  for (size_t i = start; i < end; i++) {
    float gradient = gradients[i] * stride.gradient_scale;
    moving.momentum[i] += (gradient - moving.momentum[i]) * FIRST;
    moving.velocity[i] += (gradient * gradient - moving.velocity[i]) * SECOND;
    moving.weights[i] -= rate * moving.momentum[i] / (std::sqrt(moving.velocity[i]) + EPSILON);
  }
}
