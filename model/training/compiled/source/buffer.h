// Memory that is kept from one step to the next.

#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>

constexpr size_t CACHE_LINE = 64;

// Room for numbers, aligned to a cache line.  What was in it is lost when it grows.
template <class Number> class Buffer {
public:
  // Returns room for `count` numbers, not set to anything; throws std::bad_alloc.
  Number *room(size_t count) {
    if (count > capacity) {
      memory.reset();
      capacity = 0;
      size_t wanted = count + count / 8 + CACHE_LINE;
      memory.reset(static_cast<Number *>(
          ::operator new(wanted * sizeof(Number), std::align_val_t(CACHE_LINE))));
      capacity = wanted;
    }
    return memory.get();
  }

  // Returns room for `count` zeros.
  Number *zeros(size_t count) {
    std::memset(static_cast<void *>(room(count)), 0, count * sizeof(Number));
    return memory.get();
  }

  Number *get() const { return memory.get(); }

private:
  struct Free {
    void operator()(Number *memory) const {
      ::operator delete(memory, std::align_val_t(CACHE_LINE));
    }
  };

  std::unique_ptr<Number, Free> memory;
  size_t capacity = 0;
};
