#include "common/crypto/digest.h"

#include <gtest/gtest.h>

#include "common/base/file.h"

namespace consilium {
namespace {

// FIPS 180-2, appendix B.
constexpr char kAbc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(Digest, KnownVector) { EXPECT_EQ(Sha256Of("abc"), kAbc); }

TEST(Digest, PiecesEqualTheWhole) {
  Sha256 hash;
  hash.Update(AsBytes("a"));
  hash.Update(AsBytes(""));
  hash.Update(AsBytes("bc"));
  EXPECT_EQ(hash.Finish(), kAbc);
  hash.Update(AsBytes("abc"));
  EXPECT_EQ(hash.Finish(), kAbc);  // it started over
}

TEST(Digest, FormIsStrict) {
  EXPECT_TRUE(IsDigest(kAbc));
  EXPECT_FALSE(IsDigest(std::string(kAbc).substr(1)));
  EXPECT_FALSE(IsDigest("../../../../etc/passwd"));
  std::string upper = kAbc;
  upper[0] = 'B';
  EXPECT_FALSE(IsDigest(upper));
}

TEST(Digest, RandomHexIsLongAndNew) {
  EXPECT_EQ(RandomHex(24).size(), 48U);
  EXPECT_NE(RandomHex(24), RandomHex(24));
}

TEST(Digest, ConstantTimeEqual) {
  EXPECT_TRUE(ConstantTimeEqual("abc", "abc"));
  EXPECT_FALSE(ConstantTimeEqual("abc", "abd"));
  EXPECT_FALSE(ConstantTimeEqual("abc", "abcd"));
}

}  // namespace
}  // namespace consilium
