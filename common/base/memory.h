#pragma once

// How the process holds on to memory that it has freed. For programs whose buffers come and go at
// the same sizes (a step's activations, a round's model): a page fresh from the kernel costs more
// than all that is done with it, since it must be found, cleared and mapped first. Effective with
// glibc's allocator, nothing elsewhere.

namespace consilium {

// Freed memory stays with the process, buffers of any size included. Called once, at the start.
void KeepFreedMemory();

// All threads share one heap. A heap a thread, as glibc has it, leaves what one thread freed unused
// by the others: a process with many threads and large buffers grows for hours. Called once, at the
// start, by a process that does not allocate in its inner loops.
void ShareOneHeap();

// Gives what is free back to the system: for a process that will be idle. Thread-safe.
void ReturnFreedMemory();

}  // namespace consilium
