#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cluster/object_change.h"
#include "cluster/object_kind.h"

/// What an API server says of objects, as JSON: lists, and events of a watch. Source: Kubernetes API concepts; meta/v1.
namespace weir::cluster {

/// meta/v1 Status: why a request or a watch failed.
struct ApiFailure {
  /// As HTTP's; 410: the resource version is too old.
  int code = 0;
  std::string message;
};

struct WatchEvent {
  enum class Type : std::uint8_t { kPut, kDelete, kBookmark, kError };
  Type type = Type::kBookmark;
  /// Of kPut and kDelete, unless it was refused.
  std::optional<ClusterObject> object;
  /// What is wrong with the object, in one line with its name; empty if nothing is.
  std::string refused;
  /// What is odd about it, though it was read; one line each, with its name.
  std::vector<std::string> remarks;
  /// Where to go on watching after this event; empty for kError.
  std::string resource_version;
  /// Of kError.
  ApiFailure failure;
};

/// One event: a line of a watch's answer. The objects of ReplicaSets and Jobs may be PartialObjectMetadata. Fails on
/// what is no event at all.
Result<WatchEvent> read_watch_event(ObjectKind kind, std::string_view json);

struct ObjectPage {
  std::vector<ClusterObject> objects;
  /// One line for each object that could not be read.
  std::vector<std::string> refused;
  /// As WatchEvent::remarks.
  std::vector<std::string> remarks;
  std::string resource_version;
  /// Asks for the next page; empty: this is the last.
  std::string continue_token;
};

/// One page of a list. Fails on what is no list.
Result<ObjectPage> read_object_page(ObjectKind kind, std::string_view json);

/// The Status in the body of a failed request; nullopt if it holds none.
std::optional<ApiFailure> read_api_failure(std::string_view json);

}  // namespace weir::cluster
