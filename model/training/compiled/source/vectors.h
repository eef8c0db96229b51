// Vectors of floats as wide as the processor has them, and functions of them.
//
// GCC's and Clang's vector extensions: the same source for x86-64 and arm64.

#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif

typedef float Vector __attribute__((vector_size(4 * LANES)));
typedef int32_t Integers __attribute__((vector_size(4 * LANES)));
typedef uint8_t Bytes __attribute__((vector_size(LANES)));

// The same where they lie in arrays, at any address.
typedef float StoredVector __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint8_t StoredBytes __attribute__((vector_size(LANES), aligned(1), may_alias));

inline Vector load(const float *from) { return *reinterpret_cast<const StoredVector *>(from); }

inline void store(float *to, Vector values) { *reinterpret_cast<StoredVector *>(to) = values; }

// Returns bytes as floats.
inline Vector load_bytes(const uint8_t *from) {
  Bytes bytes = *reinterpret_cast<const StoredBytes *>(from);
  return __builtin_convertvector(bytes, Vector);
}

inline Vector splat(float value) { return value - Vector{}; }

// Adds to what is in an array.
inline void add_to(float *sum, Vector values) { store(sum, load(sum) + values); }

inline float total(Vector values) {
  float sum = 0;
  for (int lane = 0; lane < LANES; lane++) sum += values[lane];
  return sum;
}

// Lets NaN through.
inline Vector rectified(Vector x) { return x < splat(0) ? splat(0) : x; }

// e to the power of x, which counts as -87 to 88: the polynomial of the Cephes library.
inline Vector exponential(Vector x) {
  x = x < splat(-87.f) ? splat(-87.f) : x;
  x = x > splat(88.f) ? splat(88.f) : x;
  // Adding 1.5 times 2 to the power of 23 rounds to whole numbers.
  const Vector rounding = splat(12582912.f);
  Vector whole = (x * 1.44269504088896341f + rounding) - rounding;
  Vector rest = x - whole * 0.693359375f + whole * 2.12194440e-4f;
  Vector sum = splat(1.9875691500e-4f);
  sum = sum * rest + 1.3981999507e-3f;
  sum = sum * rest + 8.3334519073e-3f;
  sum = sum * rest + 4.1665795894e-2f;
  sum = sum * rest + 1.6666665459e-1f;
  sum = sum * rest + 5.0000001201e-1f;
  sum = sum * rest * rest + rest + 1.f;
  Integers exponent = (__builtin_convertvector(whole, Integers) + 127) << 23;
  return sum * reinterpret_cast<Vector>(exponent);
}

inline Vector sigmoid(Vector x) { return 1.f / (1.f + exponential(-x)); }

inline Vector hyperbolic_tangent(Vector x) { return 2.f * sigmoid(x + x) - 1.f; }
