#pragma once

#include <stop_token>

namespace consilium {

// A stop of its own that also comes when another one does. Thread-safe.
class LinkedStop {
 public:
  explicit LinkedStop(const std::stop_token& other) : on_other_(other, RequestStop{&source_}) {}

  std::stop_token token() const { return source_.get_token(); }
  void Request() { source_.request_stop(); }

 private:
  struct RequestStop {
    std::stop_source* source;
    void operator()() const { source->request_stop(); }
  };

  std::stop_source source_;
  std::stop_callback<RequestStop> on_other_;
};

}  // namespace consilium
