#include "model/endpoint.h"
#include "model/policy_trace.h"
#include "model/reported_flow.h"

namespace weir::model {

const char* to_string(EndpointType type) {
  switch (type) {
    case EndpointType::kNet:
      return "net";
    case EndpointType::kWorkload:
      return "wep";
    case EndpointType::kHost:
      return "hep";
    case EndpointType::kNetworkSet:
      return "ns";
  }
  return "net";
}

const char* to_string(Action action) {
  switch (action) {
    case Action::kAllow:
      return "allow";
    case Action::kDeny:
      return "deny";
    case Action::kPass:
      return "pass";
  }
  return "deny";
}

const char* to_string(Reporter reporter) {
  switch (reporter) {
    case Reporter::kSource:
      return "src";
    case Reporter::kDest:
      return "dst";
    case Reporter::kForward:
      return "fwd";
  }
  return "src";
}

const char* to_string(VerdictSource source) {
  switch (source) {
    case VerdictSource::kDataplane:
      return "dataplane";
    case VerdictSource::kComputed:
      return "computed";
    case VerdictSource::kObserved:
      return "observed";
  }
  return "observed";
}

}  // namespace weir::model
