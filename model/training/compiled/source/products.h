// Products of matrices whose sums are float32.
//
// The factors are bfloat16 where the processor multiplies those (AVX512-BF16), in pairs, and
// float32 elsewhere.  The right factor is packed first: for each panel of 32 columns, group by
// group of PAIR rows, the rows of a group beside each other in every column.  The result does
// not depend on the number of threads.

#pragma once

#include <algorithm>
#include <cstring>

#include "vectors.h"

#if defined(__AVX512BF16__)
#include <immintrin.h>

typedef uint16_t Factor;
typedef __m512bh Factors;
constexpr int FACTOR_BITS = 16;
constexpr int PAIR = 2;

inline Factor factor(float value) {
  __m128bh rounded = _mm_cvtneps_pbh(_mm_set_ss(value));
  return static_cast<Factor>(_mm_extract_epi16((__m128i)rounded, 0));
}

inline void store_factors(Factor *to, Vector values) {
  _mm256_storeu_si256(reinterpret_cast<__m256i *>(to), (__m256i)_mm512_cvtneps_pbh((__m512)values));
}

inline Vector load_values(const Factor *from) {
  __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from));
  return (Vector)_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16);
}

// The groups of as many columns as a vector has.
inline Factors load_groups(const Factor *from) { return (Factors)_mm512_loadu_si512(from); }

// One group, once for every column.
inline Factors spread_group(const Factor *from) {
  int group;
  std::memcpy(&group, from, sizeof group);
  return (Factors)_mm512_set1_epi32(group);
}

inline Vector multiply_add(Vector sum, Factors left, Factors right) {
  return (Vector)_mm512_dpbf16_ps((__m512)sum, left, right);
}

#else

typedef float Factor;
typedef Vector Factors;
constexpr int FACTOR_BITS = 32;
constexpr int PAIR = 1;

inline Factor factor(float value) { return value; }
inline void store_factors(Factor *to, Vector values) { store(to, values); }
inline Vector load_values(const Factor *from) { return load(from); }
inline Factors load_groups(const Factor *from) { return load(from); }
inline Factors spread_group(const Factor *from) { return splat(*from); }
inline Vector multiply_add(Vector sum, Factors left, Factors right) { return sum + left * right; }

#endif

constexpr int PANEL = 32;
// A tile's sums stay in registers: 32 of them with AVX-512 and on arm64, else 16.
#if defined(__AVX512F__)
constexpr int TILE_ROWS = 12, TILE_VECTORS = 2;
#elif defined(__AVX__)
constexpr int TILE_ROWS = 6, TILE_VECTORS = 2;
#elif defined(__aarch64__)
constexpr int TILE_ROWS = 6, TILE_VECTORS = 4;
#else
constexpr int TILE_ROWS = 6, TILE_VECTORS = 2;
#endif
constexpr int TILE_COLUMNS = TILE_VECTORS * LANES;
// Parts of a product whose factors stay in the caches.
constexpr int BLOCK_GROUPS = 256, BLOCK_ROWS = 240;

inline int round_up(int count, int multiple) { return (count + multiple - 1) / multiple * multiple; }

inline int groups_of(int depth) { return (depth + PAIR - 1) / PAIR; }

// Numbers in a packed factor.
inline size_t packed_size(int depth, int columns) {
  return size_t(groups_of(depth)) * PAIR * round_up(columns, PANEL);
}

// Where a packed factor of `groups` groups has a group's column.
inline size_t packed_place(int groups, int group, int column) {
  return ((size_t(column / PANEL) * groups + group) * PANEL + column % PANEL) * PAIR;
}

// What a product adds to: nothing, what is there already, or a bias of each column.
struct Start {
  bool add = false;
  const float *bias = nullptr;
};

template <int ROWS>
void multiply_tile(int groups, const Factor *left, size_t left_stride, const Factor *right,
                   float *sums, size_t sums_stride, Start start) {
  Vector tile[ROWS][TILE_VECTORS];
  for (int row = 0; row < ROWS; row++)
    for (int v = 0; v < TILE_VECTORS; v++)
      tile[row][v] = start.add    ? load(sums + row * sums_stride + v * LANES)
                     : start.bias ? load(start.bias + v * LANES)
                                  : splat(0);
  for (int group = 0; group < groups; group++) {
    Factors columns[TILE_VECTORS];
    for (int v = 0; v < TILE_VECTORS; v++)
      columns[v] = load_groups(right + (size_t(group) * PANEL + v * LANES) * PAIR);
#pragma GCC unroll 12
    for (int row = 0; row < ROWS; row++) {
      Factors own = spread_group(left + row * left_stride + size_t(group) * PAIR);
      for (int v = 0; v < TILE_VECTORS; v++)
        tile[row][v] = multiply_add(tile[row][v], own, columns[v]);
    }
  }
  for (int row = 0; row < ROWS; row++)
    for (int v = 0; v < TILE_VECTORS; v++)
      store(sums + row * sums_stride + v * LANES, tile[row][v]);
}

// Multiplies up to TILE_ROWS rows.
template <int ROWS = TILE_ROWS>
void multiply_rows(int rows, int groups, const Factor *left, size_t left_stride,
                   const Factor *right, float *sums, size_t sums_stride, Start start) {
  if constexpr (ROWS > 0) {
    if (rows == ROWS)
      multiply_tile<ROWS>(groups, left, left_stride, right, sums, sums_stride, start);
    else
      multiply_rows<ROWS - 1>(rows, groups, left, left_stride, right, sums, sums_stride, start);
  }
}

// How many of the `left` rows to multiply next: the last two tiles are about as high.
inline int next_rows(int left) {
  if (left >= 2 * TILE_ROWS) return TILE_ROWS;
  return left > TILE_ROWS ? (left + 1) / 2 : left;
}

// sums = left times right, by one thread.
//
// left has rows of `depth` factors, `left_stride` apart, and may be read up to a whole group;
// right is packed, with a multiple of PANEL columns; sums has rows `sums_stride` apart.
inline void multiply(int rows, int columns, int depth, const Factor *left, size_t left_stride,
                     const Factor *right, float *sums, size_t sums_stride,
                     const float *bias = nullptr) {
  int groups = groups_of(depth);
  for (int k = 0; k < groups; k += BLOCK_GROUPS) {
    int some = std::min(BLOCK_GROUPS, groups - k);
    for (int block = 0; block < rows; block += BLOCK_ROWS) {
      int end = std::min(rows, block + BLOCK_ROWS);
      for (int column = 0; column < columns; column += TILE_COLUMNS) {
        const Factor *panel = right + packed_place(groups, k, column);
        Start start{k > 0, bias ? bias + column : nullptr};
        for (int row = block; row < end;) {
          int count = next_rows(end - row);
          multiply_rows(count, some, left + row * left_stride + size_t(k) * PAIR, left_stride,
                        panel, sums + row * sums_stride + column, sums_stride, start);
          row += count;
        }
      }
    }
  }
}

// The same by all threads.
inline void multiply_together(int rows, int columns, int depth, const Factor *left,
                              size_t left_stride, const Factor *right, float *sums,
                              size_t sums_stride, const float *bias = nullptr) {
  int each = std::max(TILE_ROWS, round_up((rows + 7) / 8, TILE_ROWS));
#pragma omp parallel for schedule(dynamic, 1)
  for (int row = 0; row < rows; row += each)
    multiply(std::min(each, rows - row), columns, depth, left + row * left_stride, left_stride,
             right, sums + row * sums_stride, sums_stride, bias);
}

// Packs a matrix (depth, columns); the columns up to a whole panel are zeros.
inline void pack(int depth, int columns, const float *matrix, Factor *packed) {
  int groups = groups_of(depth);
#pragma omp parallel for
  for (int panel = 0; panel < round_up(columns, PANEL); panel += PANEL)
    for (int row = 0; row < groups * PAIR; row++) {
      const float *from = matrix + size_t(row) * columns + panel;
      Factor *to = packed + packed_place(groups, row / PAIR, panel) + row % PAIR;
      int present = row < depth ? std::min(PANEL, columns - panel) : 0;
      for (int column = 0; column < PANEL; column++)
        to[column * PAIR] = column < present ? factor(from[column]) : factor(0);
    }
}

// Packs the transpose of a matrix (columns, depth) where a packed factor of `groups` groups has
// the group `first` and those after it; columns must be whole panels.
inline void pack_transposed(int depth, int columns, const float *matrix, Factor *packed,
                            int groups, int first) {
#pragma omp parallel for
  for (int column = 0; column < columns; column++) {
    const float *from = matrix + size_t(column) * depth;
    for (int row = 0; row < groups_of(depth) * PAIR; row++)
      packed[packed_place(groups, first + row / PAIR, column) + row % PAIR] =
          row < depth ? factor(from[row]) : factor(0);
  }
}

// Packs a matrix (depth, columns) of factors; columns must be whole panels.
inline void pack_factors(int depth, int columns, const Factor *matrix, Factor *packed) {
  int groups = groups_of(depth);
#pragma omp parallel for
  for (int group = 0; group < groups; group++)
    for (int panel = 0; panel < columns; panel += PANEL) {
      Factor *to = packed + packed_place(groups, group, panel);
      for (int part = 0; part < PAIR; part++) {
        int row = group * PAIR + part;
        const Factor *from = matrix + size_t(row) * columns + panel;
        for (int column = 0; column < PANEL; column++)
          to[column * PAIR + part] = row < depth ? from[column] : factor(0);
      }
    }
}

// Writes the transpose (columns, room) of `rows` rows, wherever each of them is; the columns of
// the transpose from `rows` to `room`, the next multiple of PAIR, are zeros.
template <class RowAt> void transpose(int rows, int columns, RowAt row_at, Factor *transposed) {
  constexpr int BLOCK = 32;
  int room = round_up(rows, PAIR);
#pragma omp parallel for
  for (int column = 0; column < columns; column += BLOCK)
    for (int block = 0; block < room; block += BLOCK) {
      int end = std::min(room, block + BLOCK);
      const Factor *from[BLOCK];
      for (int row = block; row < end; row++)
        from[row - block] = row < rows ? row_at(row) : nullptr;
      for (int c = column; c < std::min(columns, column + BLOCK); c++)
        for (int row = block; row < end; row++)
          transposed[size_t(c) * room + row] = row < rows ? from[row - block][c] : factor(0);
    }
}
