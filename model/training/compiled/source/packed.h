// A network's weights as the right factors of products.

#pragma once

#include <vector>

#include "buffer.h"
#include "layout.h"
#include "products.h"

class PackedWeights {
public:
  Buffer<Factor> kernel[CONVOLUTIONS], kernel_back;  // the first convolution needs none back
  std::vector<Buffer<Factor>> inputs, inputs_back;   // of both directions
  std::vector<Buffer<Factor>> recurrent, recurrent_back;
  Buffer<Factor> dense, dense_back;

  explicit PackedWeights(const Shape &shape)
      : inputs(shape.layers), inputs_back(shape.layers), recurrent(DIRECTIONS * shape.layers),
        recurrent_back(DIRECTIONS * shape.layers), shape(shape) {}

  void take_in(const Layout &layout, const float *weights, bool back) {
    for (int index = 0; index < CONVOLUTIONS; index++)
      fill(kernel[index], shape.kernels[index] * shape.convolved(index), shape.filters,
           weights + layout.kernel[index]);
    if (back)
      fill_back(kernel_back, shape.filters, shape.kernels[1] * shape.filters,
                weights + layout.kernel[1]);
    for (int layer = 0; layer < shape.layers; layer++) take_in_layer(layer, layout, weights, back);
    fill(dense, shape.width(), shape.symbols, weights + layout.dense_kernel);
    if (back) fill_back(dense_back, shape.symbols, shape.width(), weights + layout.dense_kernel);
  }

private:
  Shape shape;

  void take_in_layer(int layer, const Layout &layout, const float *weights, bool back) {
    int entering = shape.entering(layer), units = shape.units, gates = shape.gates();
    size_t each = packed_size(entering, gates);
    Factor *own = inputs[layer].room(DIRECTIONS * each);
    Factor *own_back =
        back ? inputs_back[layer].room(packed_size(DIRECTIONS * gates, entering)) : nullptr;
    for (int direction = 0; direction < DIRECTIONS; direction++) {
      int place = DIRECTIONS * layer + direction;
      const RecurrentPlace &at = layout.recurrent[place];
      pack(entering, gates, weights + at.kernel, own + direction * each);
      fill(recurrent[place], units, gates, weights + at.recurrent);
      if (!back) continue;
      fill_back(recurrent_back[place], gates, units, weights + at.recurrent);
      pack_transposed(gates, entering, weights + at.kernel, own_back,
                      groups_of(DIRECTIONS * gates), direction * groups_of(gates));
    }
  }

  static void fill(Buffer<Factor> &buffer, int depth, int columns, const float *matrix) {
    pack(depth, columns, matrix, buffer.room(packed_size(depth, columns)));
  }

  static void fill_back(Buffer<Factor> &buffer, int depth, int columns, const float *matrix) {
    Factor *packed = buffer.room(packed_size(depth, columns));
    pack_transposed(depth, columns, matrix, packed, groups_of(depth), 0);
  }
};
