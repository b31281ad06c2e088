#include "server/store/store.h"

#include <gmock/gmock.h>

#include "common/base/file.h"
#include "common/config/plan.h"
#include "server/store/run_config.h"
#include "server/store/schema.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using ::testing::SizeIs;
using testing::StatusIs;

Evaluation SomeEvaluation() {
  Evaluation evaluation(3);
  evaluation.Add(std::vector<float>{0.7F, 0.2F, 0.1F}, 0, 0.36);
  evaluation.Add(std::vector<float>{0.1F, 0.2F, 0.7F}, 1, 1.6);
  return evaluation;
}

RunState SomeRun() {
  RunState run{.id = "run-1", .plan = DefaultPlan().SerializeAsString()};
  run.config = *ParseRunConfig(run.plan);
  run.status = RunStatus::kTraining;
  run.round = 3;
  run.initialisations = 1;
  run.deadline = FromUnixMillis(5000);
  run.created = FromUnixMillis(1000);
  run.tasks = {{.id = "t1",
                .site = "a",
                .round = 3,
                .status = TaskStatus::kDone,
                .result = {.blob_digest = "d",
                           .blob_bytes = 7,
                           .train_examples = 335,
                           .steps = 21,
                           .train_loss = 0.5,
                           .train_seconds = 1.5,
                           .evaluation = SomeEvaluation(),
                           .class_counts = {3, 0, 332}}},
               {.id = "t2", .site = "b", .round = 3, .status = TaskStatus::kOpen}};
  run.models = {{0, "m0", 10}, {1, "m1", 11}, {2, "m2", 12, "moments2", "change2", 4}};
  return run;
}

class StoreTest : public ::testing::Test {
 protected:
  void Reopen() {
    store_.reset();
    ASSERT_OK_AND_ASSIGN(store_, Store::Open(folder_ / "db"));
  }
  void SetUp() override { Reopen(); }

  static CertificateRecord CertificateOfA(const std::string& serial) {
    return {.serial = serial,
            .member = "a",
            .issued = FromUnixMillis(3),
            .expires = FromUnixMillis(30)};
  }
  void EnrolA(const std::string& serial) {
    ASSERT_THAT(store_->Enrol({.name = "a", .role = Role::kObserver, .joined = FromUnixMillis(3)},
                              CertificateOfA(serial)),
                IsOk());
  }

  testing::TempFolder folder_;
  std::unique_ptr<Store> store_;
};

TEST_F(StoreTest, RunComesBackAsItWasSaved) {
  RunState run = SomeRun();
  const auto models = std::exchange(run.models, {});
  for (const ModelVersion& model : models) {  // one a transition
    run.models.push_back(model);
    ASSERT_THAT(store_->SaveRun(run), IsOk());
  }
  run.attempt = 2;
  run.pausing = true;
  run.misses = {{1, "b", "the deadline passed"}, {1, "c", "out of memory"}};
  ASSERT_THAT(store_->SaveRun(run), IsOk());
  run.misses.push_back({2, "b", "revoked"});
  ASSERT_THAT(store_->SaveRun(run), IsOk());
  Reopen();
  ASSERT_OK_AND_ASSIGN(const auto runs, store_->LoadRuns());
  ASSERT_THAT(runs, SizeIs(1));
  EXPECT_EQ(runs[0], run);
}

TEST_F(StoreTest, WhatWasWrittenIsNotWrittenAgain) {
  RunState before = SomeRun();
  before.models.resize(1);
  ASSERT_THAT(store_->SaveRun(before), IsOk());
  RunState run = before;
  run.tasks[1].status = TaskStatus::kMissed;
  run.tasks.push_back({.id = "t3", .site = "c", .round = 3});
  ASSERT_THAT(store_->SaveRun(run, &before), IsOk());
  ASSERT_OK_AND_ASSIGN(auto runs, store_->LoadRuns());
  EXPECT_EQ(runs[0], run);
  // As where the tasks of the round before are dropped: the places are others then.
  before = run;
  run.tasks.erase(run.tasks.begin());
  run.tasks[0].reason = "late";
  ASSERT_THAT(store_->SaveRun(run, &before), IsOk());
  EXPECT_THAT(*store_->LoadTasks("run-1", 0), ::testing::Contains(run.tasks[0]));
}

TEST_F(StoreTest, SavingAgainUpdatesAndKeepsEarlierRounds) {
  RunState run = SomeRun();
  run.models.resize(1);
  ASSERT_THAT(store_->SaveRun(run), IsOk());
  run.round = 5;
  run.tasks = {{.id = "t9", .site = "a", .round = 5}};
  run.models.push_back({3, "m3", 13});
  ASSERT_THAT(store_->SaveRun(run), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto runs, store_->LoadRuns());
  EXPECT_EQ(runs[0], run);
  EXPECT_THAT(*store_->LoadTasks("run-1", 0), SizeIs(3));
}

TEST_F(StoreTest, MissesThatWereTakenBackAreGone) {
  RunState run = SomeRun();
  run.round = 3;
  run.misses = {{1, "a", "late"}, {3, "a", "late"}, {3, "b", "late"}};
  ASSERT_THAT(store_->SaveRun(run), IsOk());
  const RunState before = run;
  run.misses = {{1, "a", "late"}, {3, "b", "out of memory"}};
  ASSERT_THAT(store_->SaveRun(run, &before), IsOk());
  EXPECT_EQ((*store_->LoadRuns())[0].misses, run.misses);
}

TEST_F(StoreTest, TokenIsUsedUpWithTheMemberItMade) {
  ASSERT_THAT(store_->AddToken({.hash = "h", .member = "a", .expires = FromUnixMillis(9)}), IsOk());
  EnrolA("01");
  EXPECT_TRUE((*store_->FindToken("h"))->used);
  EXPECT_EQ((*store_->FindMember("a"))->role, Role::kObserver);
  EXPECT_EQ((*store_->FindMember("a"))->certificate_expires, FromUnixMillis(30));
  EXPECT_EQ((*store_->FindCertificate("01"))->member, "a");
  EXPECT_FALSE(store_->FindToken("other")->has_value());
}

TEST_F(StoreTest, CertificateThatIsUsedEndsTheOthersLater) {
  EnrolA("01");
  ASSERT_THAT(store_->UseCertificate(CertificateOfA("01"), {}), IsOk());
  ASSERT_THAT(store_->AddCertificate(CertificateOfA("02")), IsOk());
  ASSERT_THAT(store_->AddCertificate(CertificateOfA("03")), IsOk());  // in the place of 02
  EXPECT_EQ((*store_->FindCertificate("01"))->ends, TimePoint());
  EXPECT_EQ((*store_->FindCertificate("02"))->ends, FromUnixMillis(3));
  ASSERT_THAT(store_->UseCertificate(CertificateOfA("03"), FromUnixMillis(20)), IsOk());
  EXPECT_EQ((*store_->FindCertificate("01"))->ends, FromUnixMillis(20));
  EXPECT_EQ((*store_->FindCertificate("03"))->ends, TimePoint());
  EXPECT_THAT(*store_->EndedCertificates(FromUnixMillis(10)), SizeIs(1));
  EXPECT_THAT(*store_->EndedCertificates(FromUnixMillis(20)), SizeIs(2));
  // The replay of an earlier first call ends nothing.
  ASSERT_THAT(store_->UseCertificate(CertificateOfA("02"), FromUnixMillis(20)), IsOk());
  EXPECT_EQ((*store_->FindCertificate("03"))->ends, TimePoint());
  EXPECT_THAT(*store_->EndedCertificates(FromUnixMillis(30)), IsEmpty());  // expired by then
}

TEST_F(StoreTest, MemberIsGoodUntilTheCertificateThatItUsesExpires) {
  EnrolA("01");
  ASSERT_THAT(store_->UseCertificate(CertificateOfA("01"), {}), IsOk());
  CertificateRecord pending = CertificateOfA("02");
  pending.expires = FromUnixMillis(60);
  ASSERT_THAT(store_->AddCertificate(pending), IsOk());
  EXPECT_EQ((*store_->FindMember("a"))->certificate_expires, FromUnixMillis(30));
  ASSERT_THAT(store_->UseCertificate(pending, FromUnixMillis(20)), IsOk());
  EXPECT_EQ((*store_->FindMember("a"))->certificate_expires, FromUnixMillis(60));
}

TEST_F(StoreTest, CertificatesOfARevokedMemberEnd) {
  EnrolA("01");
  ASSERT_THAT(store_->AddToken({.hash = "spare", .member = "a"}), IsOk());
  ASSERT_THAT(store_->RevokeMember("a", FromUnixMillis(5)), IsOk());
  EXPECT_TRUE((*store_->FindMember("a"))->revoked);
  EXPECT_EQ((*store_->FindMember("a"))->certificate_expires, TimePoint());
  EXPECT_EQ((*store_->FindCertificate("01"))->ends, FromUnixMillis(5));
  EXPECT_TRUE((*store_->FindToken("spare"))->used);
  EnrolA("02");  // it was invited again
  EXPECT_FALSE((*store_->FindMember("a"))->revoked);
}

TEST_F(StoreTest, TextCannotBecomeSql) {
  ASSERT_THAT(store_->AddToken({.hash = "x'); DROP TABLE tokens; --", .member = "a"}), IsOk());
  EXPECT_TRUE(store_->FindToken("x'); DROP TABLE tokens; --")->has_value());
}

TEST_F(StoreTest, DatabaseOfTheFirstVersionIsBroughtUpToDate) {
  store_.reset();
  std::filesystem::remove(folder_ / "db");
  v1::RunPlan old_plan = DefaultPlan();
  old_plan.clear_round_attempts();
  old_plan.clear_late_updates();
  old_plan.clear_strategy();
  old_plan.mutable_training()->clear_loss();
  old_plan.mutable_training()->clear_sampler();
  EXPECT_THAT(CheckPlan(old_plan), IsOk());  // hospitals look at it too
  {
    ASSERT_OK_AND_ASSIGN(Database database, Database::Open(folder_ / "db"));
    ASSERT_THAT(database.Execute(kSchemaSteps[0]), IsOk());
    ASSERT_THAT(
        database
            .Prepare("INSERT INTO runs (id, plan, status, reason, round, initialisations, "
                     "deadline, created, ended) VALUES ('run-1', ?, 1, '', 3, 1, 5000, 1000, 0)")
            .Bind(old_plan.SerializeAsString())
            .Run(),
        IsOk());
    ASSERT_THAT(
        database.Execute("INSERT INTO sites (name, certificate_serial, revoked, joined, last_seen, "
                         "certificate_expires) VALUES ('a', '01', 0, 3, 4, 30), "
                         "('b', '02', 1, 3, 0, 30)"),
        IsOk());
    ASSERT_THAT(database.Execute("PRAGMA user_version = 1"), IsOk());
  }
  Reopen();
  ASSERT_OK_AND_ASSIGN(const auto runs, store_->LoadRuns());
  ASSERT_THAT(runs, SizeIs(1));
  EXPECT_EQ(runs[0].round, 3);
  EXPECT_EQ(runs[0].attempt, 1);
  EXPECT_EQ(runs[0].config.round_attempts, 1);
  EXPECT_EQ((*store_->FindMember("a"))->role, Role::kHospital);
  EXPECT_EQ((*store_->FindMember("a"))->certificate_expires, FromUnixMillis(30));
  EXPECT_TRUE((*store_->FindCertificate("01"))->used);
  EXPECT_TRUE((*store_->FindMember("b"))->revoked);
  EXPECT_EQ((*store_->FindCertificate("02"))->ends, FromUnixMillis(3));
  Reopen();  // and stays so
  EXPECT_THAT(*store_->LoadRuns(), SizeIs(1));
}

TEST_F(StoreTest, DatabaseOfANewerVersionIsRefused) {
  store_.reset();
  {
    ASSERT_OK_AND_ASSIGN(Database database, Database::Open(folder_ / "db"));
    ASSERT_THAT(database.Execute("PRAGMA user_version = 99"), IsOk());
  }
  EXPECT_THAT(Store::Open(folder_ / "db"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("version 99")));
}

TEST_F(StoreTest, FileThatIsNoDatabaseIsRefused) {
  ASSERT_THAT(WriteFileAtomically(folder_ / "junk", std::string(5000, 'x')), IsOk());
  EXPECT_THAT(Store::Open(folder_ / "junk"), StatusIs(absl::StatusCode::kDataLoss));
}

}  // namespace
}  // namespace consilium
