#include "metrics/agent_routes.h"

#include <utility>

namespace weir::metrics {
namespace {

using http::Answer;
using http::Method;
using http::Request;

Answer text(unsigned status, std::string body, std::string type = "text/plain") {
  Answer answer;
  answer.status = status;
  answer.content_type = std::move(type);
  answer.body = std::move(body);
  return answer;
}

}  // namespace

std::vector<http::Route> agent_routes(const Registry& registry, std::function<bool()> ready,
                                      std::function<std::string()> status) {
  return {
      {Method::kGet, "/metrics",
       [&registry](const Request&) { return text(200, registry.text(), "text/plain; version=0.0.4; charset=utf-8"); }},
      {Method::kGet, "/healthz", [](const Request&) { return text(200, "ok\n"); }},
      {Method::kGet, "/readyz",
       [ready = std::move(ready)](const Request&) {
         return ready() ? text(200, "ready\n") : text(503, "not ready\n");
       }},
      {Method::kGet, "/status",
       [status = std::move(status)](const Request&) { return text(200, status(), "application/json"); }},
  };
}

}  // namespace weir::metrics
