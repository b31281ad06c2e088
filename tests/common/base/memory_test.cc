#include "common/base/memory.h"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <unistd.h>

#include <memory>

namespace consilium {
namespace {

constexpr std::size_t kBytes = std::size_t{64} << 20;
constexpr std::size_t kStep = 512;  // less than a page

// Pages that the kernel had to bring for one use of a large buffer.
long PagesBrought() {
  const auto faults = [] {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
  };
  const long before = faults();
  const std::unique_ptr<char[]> buffer(new char[kBytes]);
  volatile char* bytes = buffer.get();  // volatile: a buffer that nobody reads would be left out
  for (std::size_t i = 0; i < kBytes; i += kStep) bytes[i] = 1;
  return faults() - before;
}

TEST(Memory, FreedPagesStayUntilTheyAreReturned) {
#if !defined(__GLIBC__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "another allocator than glibc's";
#endif
  KeepFreedMemory();
  PagesBrought();
  const long pages = static_cast<long>(kBytes) / ::sysconf(_SC_PAGESIZE);
  EXPECT_LT(PagesBrought(), pages / 10);
  ReturnFreedMemory();
  EXPECT_GT(PagesBrought(), pages / 10);
}

}  // namespace
}  // namespace consilium
