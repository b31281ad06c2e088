// Updates and models that travel encoded, at the coordinator.

#include <gmock/gmock.h>

#include "common/base/file.h"
#include "common/encoding/update_encoding.h"
#include "server/round/coordinator.h"
#include "tests/server/round/coordinator_fixture.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

TEST_F(CoordinatorTest, EncodedUpdateCountsAsWhatItSays) {
  Enrol("site-a");
  v1::RunPlan plan = SmallPlan();
  plan.mutable_encoding()->set_update("bfloat16");
  const std::string run = Submit(plan);
  ASSERT_THAT(Do("site-a", **Wait("site-a")), IsOk());
  const Assignment assignment = **Wait("site-a");
  const ModelState base = StateOf("site-a", {.round = 0});
  const ModelState update = StateOf("site-a", assignment.task);
  std::vector<float> none;
  ASSERT_OK_AND_ASSIGN(const std::string sent,
                       EncodeUpdate({.encoding = UpdateEncoding::kBfloat16,
                                     .run = run,
                                     .round = 1,
                                     .base_digest = assignment.model->digest},
                                    *base.layout, base.values, update.values, {}, none));
  ASSERT_THAT(DeliverFile("site-a", assignment.task, sent), IsOk());
  coordinator_->Work();
  const RunState after = *coordinator_->FindRun(run);
  ASSERT_OK_AND_ASSIGN(const auto file, blobs_->Map(after.models.back().digest));
  const auto values = DecodeModel(file->bytes())->state.values;
  const auto wanted = *ApplyUpdate(AsBytes(sent), *base.layout, base.values);
  const std::size_t shared = base.layout->offset(3);  // behind it, what stays at the hospital
  EXPECT_TRUE(std::equal(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(shared),
                         wanted.begin()));
  EXPECT_EQ(after.tasks.front().result.blob_bytes, sent.size());
  EXPECT_EQ(after.tasks.front().result.blob_digest, Sha256Of(sent));
  EXPECT_FALSE(blobs_->HeldOf(Sha256Of(sent), assignment.task.id).whole);
  ASSERT_OK_AND_ASSIGN(const std::string trail, ReadFile(folder_ / kTrailFile));
  EXPECT_THAT(trail, HasSubstr(Sha256Of(sent)));
}

TEST_F(CoordinatorTest, ModelTravelsAsWhatItChangesOfTheOneBefore) {
  Enrol("site-a");
  v1::RunPlan plan = SmallPlan();
  plan.set_rounds(3);
  plan.mutable_encoding()->set_model("int8");
  const std::string run = Submit(plan);
  ASSERT_THAT(Do("site-a", **Wait("site-a")), IsOk());  // the initial model
  EXPECT_EQ((*Wait("site-a"))->base_digest, "");
  std::string last;
  for (int round = 1; round < 3; ++round) {
    ASSERT_THAT(Do("site-a", **Wait("site-a")), IsOk());
    coordinator_->Work();
    const Assignment next = **Wait("site-a");
    EXPECT_TRUE(coordinator_->IsForSites(next.model->change_digest));
    EXPECT_FALSE(coordinator_->IsForSites(last)) << "nobody needs the change before";
    last = next.model->change_digest;
    ASSERT_OK_AND_ASSIGN(const auto base, blobs_->Map(next.base_digest));
    ASSERT_OK_AND_ASSIGN(const auto change, blobs_->Map(last));
    EXPECT_EQ(change->bytes().size(), next.model->change_bytes);
    ASSERT_OK_AND_ASSIGN(const Model parent, DecodeModel(base->bytes()));
    ASSERT_OK_AND_ASSIGN(const UpdateDecoder decoder,
                         UpdateDecoder::Create(change->bytes(), kMaxModelHeadBytes));
    ASSERT_OK_AND_ASSIGN(const auto values,
                         ApplyUpdate(change->bytes(), *parent.state.layout, parent.state.values));
    std::string model = decoder.head().model_header;
    model.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
    EXPECT_EQ(Sha256Of(model), next.model->digest);
    EXPECT_EQ(model.size(), next.model->bytes);
    // What the round came to is another model by a rounding alone.
    const ModelState update = StateOf("site-a", {.round = round});
    const std::size_t shared = parent.state.layout->offset(3);
    for (std::size_t i = 0; i < shared; ++i) EXPECT_NEAR(values[i], update.values[i], 0.1);
  }
  // Another process of the coordinator has it still.
  Start();
  EXPECT_TRUE(coordinator_->IsForSites(last));
  EXPECT_EQ((*Wait("site-a"))->model->change_digest, last);
  ASSERT_THAT(Do("site-a", **Wait("site-a")), IsOk());
  coordinator_->Work();
  EXPECT_FALSE(blobs_->Has(last));
}

TEST_F(CoordinatorTest, ModelFileIsNoAnswerToAPlanThatEncodes) {
  Enrol("site-a");
  v1::RunPlan plan = SmallPlan();
  plan.mutable_encoding()->set_update("int8");
  Submit(plan);
  ASSERT_THAT(Do("site-a", **Wait("site-a")), IsOk());
  EXPECT_THAT(Do("site-a", **Wait("site-a")),
              StatusIs(testing::kInvalid, HasSubstr("not an encoded update")));
}

}  // namespace
}  // namespace consilium
