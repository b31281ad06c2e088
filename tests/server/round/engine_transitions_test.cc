// The state machine as a whole: each transition that is drawn in the server's README, none that is
// not, and histories at random. Of runs that follow a higher coordinator's: following_test.cc.

#include <gmock/gmock.h>

#include <algorithm>
#include <map>

#include "server/round/engine.h"
#include "tests/server/round/engine_fixture.h"

namespace consilium {
namespace {

TEST_F(EngineTest, FinalStatesTakeNoEvent) {
  Start();
  Happen(CancelRequested{});
  ASSERT_EQ(run_.status, RunStatus::kCancelled);
  EXPECT_TRUE(Open().empty());
  const RunState ended = run_;
  for (const RunEvent& event :
       {RunEvent(SiteAsked{"a"}), RunEvent(TaskSucceeded{run_.tasks[0].id, {}}),
        RunEvent(TaskEnded{run_.tasks[0].id, TaskStatus::kFailed, ""}),
        RunEvent(UpdateLost{run_.tasks[0].id}), RunEvent(RoundAveraged{{1, "m", 1}}),
        RunEvent(RunBroken{1, "x"}), RunEvent(TimePassed{}), RunEvent(PauseRequested{}),
        RunEvent(ResumeRequested{}), RunEvent(SiteRevoked{"a"}), RunEvent(CancelRequested{})}) {
    Happen(event);
    EXPECT_EQ(run_, ended);
  }
}

// Every way between two states that there is, and no other: each state meets each event.
TEST_F(EngineTest, LegalTransitionsHappenAndIllegalOnesDoNot) {
  using enum RunStatus;
  config_.rounds = 1;
  config_.round_attempts = 1;
  config_.quorum_fraction = 1;
  const std::string train = "r.r1.a.train";
  const RunEvent initialised = TaskSucceeded{"r.r0.a.initialise", {.blob_digest = "m0"}};
  const RunEvent trained = TaskSucceeded{train, {.blob_digest = "u", .train_examples = 5}};
  const RunEvent evaluated = TaskSucceeded{"r.r2.a.evaluate", {}};
  const RunEvent failed = TaskEnded{train, TaskStatus::kFailed, "out of memory"};
  const RunEvent averaged = RoundAveraged{{1, "m1", 10}};
  const std::map<std::string, RunEvent> events = {{"asked", SiteAsked{"a"}},
                                                  {"initialised", initialised},
                                                  {"trained", trained},
                                                  {"evaluated", evaluated},
                                                  {"failed", failed},
                                                  {"averaged", averaged},
                                                  {"lost", UpdateLost{train}},
                                                  {"broken", RunBroken{1, "x"}},
                                                  {"time", TimePassed{}},
                                                  {"pause", PauseRequested{}},
                                                  {"resume", ResumeRequested{}},
                                                  {"cancel", CancelRequested{}},
                                                  {"revoked", SiteRevoked{"a"}}};
  const std::map<RunStatus, std::vector<std::string>> ways = {
      {kInitialising, {"asked"}},
      {kTraining, {"asked", "initialised"}},
      {kAggregating, {"asked", "initialised", "trained"}},
      {kEvaluating, {"asked", "initialised", "trained", "averaged"}},
      {kPaused, {"asked", "initialised", "failed"}},
      {kCompleted, {"asked", "initialised", "trained", "averaged", "evaluated"}},
      {kDegraded, {"asked", "initialised", "trained", "averaged", "late"}},
      {kFailed, {"asked", "initialised", "trained", "broken"}},
      {kCancelled, {"cancel"}}};
  const std::map<std::pair<RunStatus, std::string>, RunStatus> legal = {
      {{kInitialising, "initialised"}, kTraining},
      {{kInitialising, "late"}, kFailed},
      {{kInitialising, "revoked"}, kFailed},
      {{kTraining, "trained"}, kAggregating},
      {{kTraining, "failed"}, kPaused},
      {{kTraining, "late"}, kPaused},
      {{kTraining, "revoked"}, kPaused},
      {{kAggregating, "averaged"}, kEvaluating},
      {{kAggregating, "broken"}, kFailed},
      {{kAggregating, "lost"}, kTraining},
      {{kEvaluating, "evaluated"}, kCompleted},
      {{kEvaluating, "late"}, kDegraded},
      {{kEvaluating, "revoked"}, kDegraded},
      {{kPaused, "resume"}, kTraining}};
  context_.active_sites = {"a"};
  const auto happen = [&](const std::string& name) {
    if (name == "late") {
      Wait(config_.round_deadline);
    } else {
      Happen(events.at(name));
    }
  };
  std::vector<std::string> names = {"late"};
  for (const auto& [name, event] : events) names.push_back(name);
  for (const auto& [from, way] : ways) {
    for (const std::string& name : names) {
      StartWithoutModel();
      for (const std::string& step : way) happen(step);
      ASSERT_EQ(run_.status, from);
      happen(name);
      RunStatus want = from;
      if (const auto found = legal.find({from, name}); found != legal.end()) want = found->second;
      if (!IsFinal(from) && name == "cancel") want = kCancelled;
      EXPECT_EQ(run_.status, want) << RunStatusName(from) << ", " << name;
    }
  }
}

TEST_F(EngineTest, RandomHistoriesKeepTheInvariants) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    std::uint64_t state = seed * 7919 + 1;
    const auto draw = [&](std::uint64_t n) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      return (state >> 33) % n;
    };
    seed % 2 == 0 ? Start() : StartWithoutModel();
    for (int step = 0; step < 60; ++step) {
      const std::string site(1, static_cast<char>('a' + draw(3)));
      switch (draw(8)) {
        case 0:
          Happen(SiteAsked{site});
          break;
        case 1:
        case 2:
          if (std::ranges::count(Open(), site) > 0) Succeed(site);
          break;
        case 3:
          if (draw(4) == 0) Fail(site);
          break;
        case 4:
          Wait(std::chrono::seconds(draw(40)));
          break;
        case 5:
          if (draw(3) == 0) Happen(PauseRequested{});
          if (draw(2) == 0) Happen(ResumeRequested{});
          break;
        case 6:
          if (draw(3) == 0 && !run_.tasks.empty()) {
            Happen(UpdateLost{run_.tasks[draw(run_.tasks.size())].id});
          }
          break;
        default:
          if (run_.status == RunStatus::kAggregating) {
            Happen(RoundAveraged{{run_.round, "m" + std::to_string(run_.round), 10}});
          }
      }
      const auto open = Open();
      const bool rests = IsFinal(run_.status) || run_.status == RunStatus::kAggregating ||
                         run_.status == RunStatus::kPaused;
      ASSERT_EQ(rests, open.empty() && (run_.status != RunStatus::kInitialising))
          << "seed " << seed << " step " << step;
      ASSERT_LE(run_.round, config_.rounds + 1);
      const bool explained = run_.status == RunStatus::kFailed ||
                             run_.status == RunStatus::kPaused ||
                             run_.status == RunStatus::kDegraded;
      ASSERT_EQ(explained, !run_.reason.empty()) << "seed " << seed;
      const bool trained =
          run_.status == RunStatus::kCompleted || run_.status == RunStatus::kDegraded;
      if (trained) {
        ASSERT_EQ(run_.models.size(), 3U);
        ASSERT_EQ(run_.status == RunStatus::kDegraded, !run_.misses.empty());
      }
    }
  }
}

}  // namespace
}  // namespace consilium
