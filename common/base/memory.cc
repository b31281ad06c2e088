#include "common/base/memory.h"

#include <malloc.h>

namespace consilium {

#ifdef __GLIBC__

void KeepFreedMemory() {
  ::mallopt(M_MMAP_MAX, 0);         // no buffer gets a mapping of its own, which its end would undo
  ::mallopt(M_TRIM_THRESHOLD, -1);  // the heap's end is not given back
}

void ShareOneHeap() { ::mallopt(M_ARENA_MAX, 1); }

void ReturnFreedMemory() { ::malloc_trim(0); }

#else

void KeepFreedMemory() {}
void ShareOneHeap() {}
void ReturnFreedMemory() {}

#endif

}  // namespace consilium
