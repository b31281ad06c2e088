#pragma once

// CONSILIUM_WIDEST before a function: it is built for the widest vectors that x86 machines have,
// and the one that fits is taken at run time. Where all are to give the same bits, its file is
// compiled with -ffp-contract=off: products and sums are then contracted by none.

#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define CONSILIUM_WIDEST __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CONSILIUM_WIDEST
#endif
