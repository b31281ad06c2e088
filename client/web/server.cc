#include "client/web/server.h"

#include <httplib.h>
#include <openssl/crypto.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <thread>

#include "client/web/api_internal.h"
#include "client/web/assets_internal.h"
#include "common/base/address.h"

namespace consilium {
namespace {

// A browser runs nothing but the page's own script, asks nobody else, and shows the page in no
// other page's frame.
constexpr char kContentPolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src "
    "'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
constexpr std::chrono::seconds kTimeToSend{30};
constexpr std::chrono::seconds kTimeBetweenCalls{5};
constexpr std::size_t kMostCallsOnAConnection = 100;

int CodeOf(const Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return 200;
    case absl::StatusCode::kInvalidArgument:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    case absl::StatusCode::kUnimplemented:
      return 501;
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kUnavailable:
      return 503;
    default:
      return 500;
  }
}

void SetError(int code, const std::string& message, httplib::Response& response) {
  const nlohmann::json json = {{"error", message}};
  response.status = code;
  response.set_content(json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace),
                       "application/json");
}

void SetAnswer(const StatusOr<ApiAnswer>& answer, httplib::Response& response) {
  if (!answer.ok()) {
    const int code = CodeOf(answer.status());
    if (code == 429) response.set_header("Retry-After", "1");
    SetError(code, std::string(answer.status().message()), response);
    return;
  }
  for (const auto& [name, value] : answer->headers) response.set_header(name.c_str(), value);
  response.set_content(answer->body, answer->type.c_str());
}

// One more call in hand, for as long as this lives.
class CallInHand {
 public:
  CallInHand(std::atomic<int>& calls, int most) : calls_(calls), fits_(++calls_ <= most) {}
  ~CallInHand() { --calls_; }
  CallInHand(const CallInHand&) = delete;
  CallInHand& operator=(const CallInHand&) = delete;
  bool fits() const { return fits_; }

 private:
  std::atomic<int>& calls_;
  const bool fits_;
};

class PageServer {
 public:
  PageServer(Desk& desk, const ServeOptions& options, const std::stop_token& stop)
      : desk_(desk), options_(options), stop_(stop) {}

  Status Run(const std::function<void(int)>& on_ready) {
    CSL_RETURN_IF_ERROR(Open());
    SetLimits();
    SetRoutes();
    const int port = Bind();
    if (port <= 0) {
      return FailedPrecondition("{}:{}: cannot listen there; is it taken?", options_.host,
                                options_.port);
    }
    const std::stop_callback on_stop(stop_, [this] { server_->stop(); });
    on_ready(port);
    if (!stop_.stop_requested() && !server_->listen_after_bind()) {
      return Unavailable("the page's server ended");
    }
    return OkStatus();
  }

 private:
  Status Open() {
    if (options_.certificate.empty() != options_.key.empty()) {
      return InvalidArgument("want a certificate and its key, or neither");
    }
    if (options_.certificate.empty()) {
      if (!IsLoopback(options_.host)) {
        return FailedPrecondition(
            "{} is not of this machine alone: want --tls-certificate and --tls-key", options_.host);
      }
      server_ = std::make_unique<httplib::Server>();
      return OkStatus();
    }
    server_ =
        std::make_unique<httplib::SSLServer>(options_.certificate.c_str(), options_.key.c_str());
    if (server_->is_valid()) return OkStatus();
    return InvalidArgument("{}, {}: not a certificate and its key", options_.certificate.string(),
                           options_.key.string());
  }

  int Bind() {
    if (options_.port == 0) return server_->bind_to_any_port(options_.host.c_str());
    return server_->bind_to_port(options_.host.c_str(), options_.port) ? options_.port : -1;
  }

  // As many connections as calls, and some on which others hear that there are too many.
  void SetLimits() {
    constexpr std::size_t kToSaySo = 16;
    const auto threads = static_cast<std::size_t>(options_.max_calls) + kToSaySo;
    server_->new_task_queue = [threads] { return new httplib::ThreadPool(threads); };
    server_->set_socket_options([](socket_t socket) {  // no second server on the same port
      const int on = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    });
    server_->set_payload_max_length(options_.max_picture_bytes);
    server_->set_read_timeout(kTimeToSend.count());
    server_->set_write_timeout(kTimeToSend.count());
    server_->set_keep_alive_timeout(kTimeBetweenCalls.count());
    server_->set_keep_alive_max_count(kMostCallsOnAConnection);
    server_->set_default_headers({{"Content-Security-Policy", kContentPolicy},
                                  {"X-Content-Type-Options", "nosniff"},
                                  {"Referrer-Policy", "no-referrer"},
                                  {"Cross-Origin-Opener-Policy", "same-origin"},
                                  {"Cross-Origin-Resource-Policy", "same-origin"},
                                  {"Cache-Control", "no-store"}});
    server_->set_error_handler([this](const httplib::Request&, httplib::Response& response) {
      if (!response.body.empty()) return;
      SetError(response.status,
               response.status == 413
                   ? fmt::format("more than {} bytes", options_.max_picture_bytes)
               : response.status == 404 ? "there is nothing here"
                                        : "this cannot be answered",
               response);
    });
    server_->set_exception_handler(
        [](const httplib::Request&, httplib::Response& response, const std::exception_ptr&) {
          SetError(500, "something went wrong here", response);
        });
  }

  void SetRoutes() {
    for (const Asset& asset : Assets()) {
      const auto give = [&asset](const httplib::Request&, httplib::Response& response) {
        response.set_content(asset.bytes.data(), asset.bytes.size(),
                             std::string(asset.type).c_str());
      };
      server_->Get(std::string(asset.path).c_str(), give);
      if (asset.path == "/index.html") server_->Get("/", give);
    }
    Get("/v1/models", [this](const httplib::Request&) -> StatusOr<ApiAnswer> {
      return DescribeModel(desk_, options_.corrections.has_value());
    });
    Get(R"(/v1/known/(\d{1,9}))", [this](const httplib::Request& request) {
      return ShowKnownPicture(desk_, request.matches[1]);
    });
    const House& house = options_.house;
    Tell("/v1/house/plans", house.plans, "application/json");
    Tell("/v1/house/outbox", house.outbox, "application/json");
    Tell("/v1/house/data", house.data, "application/json");
    Tell("/v1/house/contact-sheet", house.contact_sheet, "image/png");
    Tell("/v1/house/training", house.training, "application/json");
    Tell("/v1/house/evaluation", house.evaluation, "application/json");
    Post("/v1/show", [this](const httplib::Request&, const std::string& picture) {
      return ShowPicture(desk_, picture);
    });
    Post("/v1/predict", [this](const httplib::Request&, const std::string& picture) {
      return PredictPicture(desk_, picture);
    });
    Post("/v1/explain", [this](const httplib::Request& request, const std::string& picture) {
      return ExplainPicture(desk_, picture, request.get_param_value("class"),
                            request.get_param_value("method"), stop_);
    });
    Post("/v1/extent", [this](const httplib::Request&, const std::string& picture) {
      return MeasureExtent(desk_, picture);
    });
    Post("/v1/extent/map", [this](const httplib::Request&, const std::string& picture) {
      return ShowExtent(desk_, picture);
    });
    Post("/v1/corrections", [this](const httplib::Request& request, const std::string& picture) {
      return CorrectPicture(desk_, options_.corrections, picture, request.get_param_value("label"),
                            request.get_param_value("reader"), SystemClock().Now());
    });
  }

  void Tell(const char* path, const House::Telling& telling, const char* type) {
    Get(path, [this, &telling, type](const httplib::Request&) -> StatusOr<ApiAnswer> {
      if (!telling) return absl::UnimplementedError("want serve --dir of a hospital");
      CSL_ASSIGN_OR_RETURN(std::string told, telling(stop_));
      return ApiAnswer{.body = std::move(told), .type = type, .headers = {}};
    });
  }

  void Get(const char* path, std::function<StatusOr<ApiAnswer>(const httplib::Request&)> answer) {
    server_->Get(path, [this, answer = std::move(answer)](const httplib::Request& request,
                                                          httplib::Response& response) {
      const CallInHand call(calls_, options_.max_calls);
      const Status admitted = Admit(request, call);
      SetAnswer(admitted.ok() ? answer(request) : admitted, response);
    });
  }

  // The picture is read once the call was admitted: nobody else's takes memory.
  void Post(
      const char* path,
      std::function<StatusOr<ApiAnswer>(const httplib::Request&, const std::string&)> answer) {
    server_->Post(path, [this, answer = std::move(answer)](const httplib::Request& request,
                                                           httplib::Response& response,
                                                           const httplib::ContentReader& read) {
      const CallInHand call(calls_, options_.max_calls);
      if (const Status admitted = Admit(request, call); !admitted.ok()) {
        response.set_header("Connection", "close");  // what it brings is not listened to
        return SetAnswer(admitted, response);
      }
      std::string picture;
      const bool whole = read([&](const char* data, std::size_t size) {
        if (size > options_.max_picture_bytes - picture.size()) return false;
        picture.append(data, size);
        return true;
      });
      if (!whole) {
        response.set_header("Connection", "close");
        return SetError(413,
                        fmt::format("not whole, or more than {} bytes", options_.max_picture_bytes),
                        response);
      }
      SetAnswer(answer(request, picture), response);
    });
  }

  // A call that knows the token, if there are not too many at a time. A compressed body is none
  // that a browser sends: its size says nothing of what comes of it.
  Status Admit(const httplib::Request& request, const CallInHand& call) const {
    if (!KnowsToken(request)) {
      return absl::UnauthenticatedError("want the token that `serve` has printed");
    }
    if (request.has_header("Content-Encoding")) {
      return InvalidArgument("want the picture's file as it is, without Content-Encoding");
    }
    if (call.fits()) return OkStatus();
    return absl::ResourceExhaustedError("too many calls at a time: try again");
  }

  // In a time that does not tell how much of it is right.
  bool KnowsToken(const httplib::Request& request) const {
    const std::string wanted = "Bearer " + options_.token;
    const std::string got = request.get_header_value("Authorization");
    return got.size() == wanted.size() &&
           CRYPTO_memcmp(got.data(), wanted.data(), wanted.size()) == 0;
  }

  Desk& desk_;
  const ServeOptions& options_;
  const std::stop_token stop_;
  std::unique_ptr<httplib::Server> server_;
  std::atomic<int> calls_{0};
};

}  // namespace

Status Serve(Desk& desk, const ServeOptions& options, const std::stop_token& stop,
             const std::function<void(int)>& on_ready) {
  if (options.token.empty()) return InvalidArgument("want a token");
  return PageServer(desk, options, stop).Run(on_ready);
}

}  // namespace consilium
