// The page's server over real sockets: who is answered, and what with.

#include "client/web/server.h"

#include <gmock/gmock.h>
#include <httplib.h>

#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "client/nn/network.h"
#include "common/base/file.h"
#include "tests/testing/image_files.h"
#include "tests/testing/small_model.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace consilium {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::Not;
using ::testing::StartsWith;
using testing::StatusIs;
using Json = nlohmann::json;

constexpr char kToken[] = "0123456789abcdef";

class PageServerTest : public ::testing::Test {
 protected:
  PageServerTest() {
    ModelSpec spec = testing::SmallSpec();
    const Network network = *Network::Create(spec, 1);
    Calibration calibration{.model_digest = std::string(64, 'a'),
                            .classes = spec.classes,
                            .validation_images = 30,
                            .temperature = 2,
                            .specificity = 0.9,
                            .thresholds = {0.2, std::nullopt, 0.9},
                            .known_paths = {(folder_ / "known.png").string()},
                            .known_labels = {"covid"},
                            .distance_limit = 3,
                            .energy_limit = 1e9,
                            .layout_limit = 3};
    calibration.known = KnownPictures(128, std::vector<float>(128, 0.088F));
    testing::WriteImage(folder_ / "known.png", testing::Ramp(40, 40, CV_8UC1, 0, 5));
    desk_ = *Desk::Create({{{spec, {.run = "r-1", .round = 4}}, network.State()},
                           std::string(64, 'a'),
                           calibration,
                           {}},
                          {.threads = 1, .draws = 2});
    options_.port = 0;
    options_.token = kToken;
    options_.max_picture_bytes = 1 << 20;
  }
  // A desk that measures extents, too.
  void AddExtentModel() {
    const ModelSpec spec = {.architecture = "unet",
                            .channels = 1,
                            .input_size = 32,
                            .classes = {"elsewhere", "lung", "opacity"}};
    const Network unet = *Network::Create(spec, 1);
    const Network network = *Network::Create(testing::SmallSpec(), 1);
    desk_ = *Desk::Create({{{network.spec(), {}}, network.State()},
                           std::string(64, 'a'),
                           std::nullopt,
                           Model{{spec, {}}, unet.State()}},
                          {.threads = 1});
  }
  void Start() {
    std::promise<int> port;
    server_ = std::jthread([this, &port](const std::stop_token& stop) {
      EXPECT_THAT(Serve(*desk_, options_, stop, [&](int at) { port.set_value(at); }), IsOk());
    });
    port_ = port.get_future().get();
  }
  httplib::Client Client(const std::string& token = kToken) const {
    httplib::Client client("127.0.0.1", port_);
    client.set_read_timeout(std::chrono::minutes(1));  // of a machine that has other work
    if (!token.empty()) client.set_bearer_token_auth(token.c_str());
    return client;
  }
  std::string Picture() const {
    testing::WriteImage(folder_ / "p.png", testing::Ramp(64, 48, CV_8UC1, 0, 4));
    return *ReadFile(folder_ / "p.png");
  }
  static std::string ErrorOf(const httplib::Result& result) {
    return Json::parse(result->body).at("error");
  }

  testing::TempFolder folder_;
  std::unique_ptr<Desk> desk_;
  ServeOptions options_;
  int port_ = 0;
  std::jthread server_;  // last: it ends first
};

TEST_F(PageServerTest, PredictsShowsAndExplains) {
  Start();
  auto client = Client();
  const auto predicted = client.Post("/v1/predict", Picture(), "application/octet-stream");
  ASSERT_TRUE(predicted);
  ASSERT_EQ(predicted->status, 200) << predicted->body;
  const Json json = Json::parse(predicted->body);
  double sum = 0;
  for (const auto& [name, p] : json["probabilities"].items()) sum += p.get<double>();
  EXPECT_NEAR(sum, 1, 1e-5);
  EXPECT_TRUE(json["spread"].contains("covid"));
  EXPECT_FALSE(json["abstains"].get<bool>());
  EXPECT_EQ(json["similar"][0]["label"], "covid");
  EXPECT_THAT(json["limits"].get<std::string>(), HasSubstr("not a medical device"));

  const auto shown = client.Post("/v1/show", Picture(), "application/octet-stream");
  ASSERT_EQ(shown->status, 200);
  EXPECT_THAT(shown->body, StartsWith("\x89PNG"));
  EXPECT_EQ(shown->get_header_value("X-Picture-Width"), "64");
  const auto map = client.Post("/v1/explain?class=normal&method=occlusion", Picture(),
                               "application/octet-stream");
  ASSERT_EQ(map->status, 200) << map->body;
  EXPECT_THAT(map->body, StartsWith("\x89PNG"));
  EXPECT_EQ(map->get_header_value("X-Explained"), "1");
  EXPECT_EQ(client.Get("/v1/known/0")->status, 200);
  EXPECT_EQ(client.Get("/v1/known/1")->status, 404);
}

TEST_F(PageServerTest, MeasuresExtentWhereItHasAModelForIt) {
  AddExtentModel();
  Start();
  auto client = Client();
  const Json model = Json::parse(client.Get("/v1/models")->body)["models"][0];
  EXPECT_TRUE(model["measures_extent"].get<bool>());
  const auto measured = client.Post("/v1/extent", Picture(), "application/octet-stream");
  ASSERT_EQ(measured->status, 200) << measured->body;
  const Json json = Json::parse(measured->body);
  for (const char* field : {"right_lung", "left_lung", "geographic_extent", "opacity", "limits"}) {
    EXPECT_TRUE(json.contains(field)) << field;
  }
  const auto map = client.Post("/v1/extent/map", Picture(), "application/octet-stream");
  ASSERT_EQ(map->status, 200) << map->body;
  EXPECT_THAT(map->body, StartsWith("\x89PNG"));
  EXPECT_EQ(client.Post("/v1/extent", "no picture", "application/octet-stream")->status, 400);
}

TEST_F(PageServerTest, WithoutAModelForItMeasuresNoExtent) {
  Start();
  auto client = Client();
  const auto measured = client.Post("/v1/extent", Picture(), "application/octet-stream");
  EXPECT_EQ(measured->status, 501);
  EXPECT_THAT(ErrorOf(measured), HasSubstr("--extent-model"));
}

TEST_F(PageServerTest, ModelSaysWhatItIsAndWhatItIsNot) {
  Start();
  const Json model = Json::parse(Client().Get("/v1/models")->body)["models"][0];
  EXPECT_EQ(model["run"], "r-1");
  EXPECT_EQ(model["calibration"]["thresholds"]["covid"], 0.2);
  EXPECT_TRUE(model["calibration"]["thresholds"]["normal"].is_null());
  EXPECT_THAT(model["limits"].get<std::string>(), HasSubstr("Research use only"));
  EXPECT_THAT(model.dump(), Not(HasSubstr("known.png")));  // names of patients' files stay here
}

TEST_F(PageServerTest, WhoDoesNotKnowTheTokenIsNotAnswered) {
  Start();
  for (const std::string token : {"", "0123456789abcdee", "0123456789abcdef0", "0123"}) {
    auto client = Client(token);
    EXPECT_EQ(client.Get("/v1/models")->status, 401) << token;
    EXPECT_EQ(client.Post("/v1/predict", Picture(), "image/png")->status, 401) << token;
    EXPECT_EQ(client.Get("/v1/known/0")->status, 401) << token;
  }
}

TEST_F(PageServerTest, PageIsGivenToAnybodyAndLoadsNothingFromElsewhere) {
  Start();
  auto client = Client("");
  for (const char* path : {"/", "/index.html", "/app.js", "/style.css", "/messages.en.json",
                           "/openapi.json", "/icon.svg"}) {
    const auto got = client.Get(path);
    ASSERT_EQ(got->status, 200) << path;
    EXPECT_THAT(got->get_header_value("Content-Security-Policy"), HasSubstr("default-src 'none'"));
    EXPECT_EQ(got->get_header_value("X-Content-Type-Options"), "nosniff");
    const bool names_xml = std::string(path) == "/icon.svg";
    if (!names_xml) {
      EXPECT_THAT(got->body, Not(HasSubstr("http://")));
    }
    EXPECT_THAT(got->body, Not(HasSubstr("https://")));
  }
  EXPECT_EQ(Json::parse(client.Get("/openapi.json")->body)["openapi"], "3.0.3");
  EXPECT_EQ(client.Get("/../site.yaml")->status, 404);
  EXPECT_EQ(client.Get("/v1/nothing")->status, 404);
}

TEST_F(PageServerTest, WhatIsNoPictureIsAnsweredWithAnError) {
  Start();
  auto client = Client();
  const std::string picture = Picture();
  const std::map<std::string, std::string> wrong = {
      {"nothing", ""},
      {"text", "Dear colleague"},
      {"SVG with a script", "<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>"},
      {"a cut PNG", picture.substr(0, picture.size() / 2)},
      {"DICOM in name alone", std::string(128, '\0') + "DICM" + std::string(64, '\xff')}};
  for (const auto& [what, body] : wrong) {
    for (const char* path : {"/v1/predict", "/v1/show", "/v1/explain"}) {
      const auto answer = client.Post(path, body, "application/octet-stream");
      ASSERT_TRUE(answer) << what;
      EXPECT_EQ(answer->status, 400) << what << " " << path << " " << answer->body;
      EXPECT_THAT(ErrorOf(answer), Not(HasSubstr("/tmp"))) << what;
    }
  }
  EXPECT_EQ(client.Post("/v1/explain?class=cold", picture, "image/png")->status, 400);
  EXPECT_EQ(client.Post("/v1/explain?method=magic", picture, "image/png")->status, 400);
  EXPECT_EQ(client.Post("/v1/predict", picture, "image/png")->status, 200);  // it goes on
}

TEST_F(PageServerTest, CorrectionsAreKeptWhereThereIsABook) {
  Start();
  const std::string picture = Picture();
  EXPECT_EQ(
      Client().Post("/v1/corrections?label=covid&reader=Dr.%20Jung", picture, "image/png")->status,
      501);
  server_ = {};
  options_.corrections.emplace(folder_.path());
  Start();
  auto client = Client();
  const auto noted =
      client.Post("/v1/corrections?label=covid&reader=Dr.%20Jung", picture, "image/png");
  ASSERT_EQ(noted->status, 200) << noted->body;
  EXPECT_EQ(Json::parse(noted->body)["state"], "pending");
  ASSERT_OK_AND_ASSIGN(const auto list, CorrectionBook(folder_.path()).List());
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0].reader, "Dr. Jung");
  EXPECT_EQ(*ReadFile(list[0].picture), picture);
  EXPECT_EQ(client.Post("/v1/corrections?label=cold&reader=a", picture, "image/png")->status, 400);
  EXPECT_EQ(client.Post("/v1/corrections?label=covid", picture, "image/png")->status, 400);
  EXPECT_EQ(client.Post("/v1/corrections?label=covid&reader=a", "text", "image/png")->status, 400);
  EXPECT_EQ(CorrectionBook(folder_.path()).List()->size(), 1U);
}

TEST_F(PageServerTest, TooLargeAPictureIsRefusedByItsLength) {
  Start();
  const auto answer =
      Client().Post("/v1/predict", std::string(options_.max_picture_bytes + 1, 'x'), "image/png");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 413);
  EXPECT_THAT(ErrorOf(answer), HasSubstr("more than 1048576 bytes"));
}

// Neither a body that does not say how long it is, nor one that grows when it is unpacked, gets
// more room than the bound; and a stranger's none.
TEST_F(PageServerTest, BodiesAreBoundedHoweverTheyCome) {
  Start();
  const auto endless = [&](std::size_t bytes) {
    return [left = bytes](std::size_t, httplib::DataSink& sink) mutable {
      const std::string data(std::min<std::size_t>(left, 64 << 10), 'x');
      left -= data.size();
      if (data.empty()) {
        sink.done();
        return true;
      }
      return sink.write(data.data(), data.size());
    };
  };
  const auto chunked = Client().Post("/v1/predict", endless(64 << 20), "image/png");
  if (chunked) {
    EXPECT_EQ(chunked->status, 413);  // or cut off in the middle of it
  }
  const auto stranger = Client("").Post("/v1/predict", endless(64 << 20), "image/png");
  if (stranger) {
    EXPECT_EQ(stranger->status, 401);
  }
  const auto packed =
      Client().Post("/v1/predict", {{"Content-Encoding", "gzip"}}, "no gzip", "image/png");
  ASSERT_TRUE(packed);
  EXPECT_EQ(packed->status, 400);
  EXPECT_EQ(Client().Post("/v1/predict", Picture(), "image/png")->status, 200);
}

// Occlusion takes long: while two are at it there is no room for a third.
TEST_F(PageServerTest, TooManyCallsAreToldToComeAgain) {
  options_.max_calls = 2;
  Start();
  const std::string picture = Picture();
  std::vector<std::jthread> readers;
  std::atomic<int> busy{0};
  std::atomic<int> fine{0};
  for (int i = 0; i < 8; ++i) {
    readers.emplace_back([&] {
      const auto answer = Client().Post("/v1/explain?method=occlusion", picture, "image/png");
      ASSERT_TRUE(answer);
      if (answer->status == 429) {
        EXPECT_EQ(answer->get_header_value("Retry-After"), "1");
        ++busy;
      } else {
        EXPECT_EQ(answer->status, 200) << answer->body;
        ++fine;
      }
    });
  }
  readers.clear();
  EXPECT_GE(fine, 2);
  EXPECT_GE(busy, 1);
  EXPECT_EQ(Client().Post("/v1/predict", picture, "image/png")->status, 200);
}

TEST_F(PageServerTest, OtherMachinesWantACertificate) {
  options_.host = "0.0.0.0";
  EXPECT_THAT(Serve(*desk_, options_, {}, {}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("--tls-certificate")));
  options_.certificate = folder_ / "absent.pem";
  EXPECT_THAT(Serve(*desk_, options_, {}, {}), StatusIs(testing::kInvalid, HasSubstr("its key")));
  options_.key = folder_ / "absent.key";
  EXPECT_THAT(Serve(*desk_, options_, {}, {}),
              StatusIs(testing::kInvalid, HasSubstr("absent.pem")));
  const ServeOptions nobody_knows{.token = ""};
  EXPECT_THAT(Serve(*desk_, nobody_knows, {}, {}), StatusIs(testing::kInvalid, HasSubstr("token")));
}

TEST_F(PageServerTest, TakenPortIsSaid) {
  Start();
  ServeOptions again = options_;
  again.port = port_;
  EXPECT_THAT(Serve(*desk_, again, {}, {}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("taken")));
}

}  // namespace
}  // namespace consilium
