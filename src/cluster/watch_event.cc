#include "cluster/watch_event.h"

#include "cluster/internal/object_reader.h"
#include "cluster/internal/policy_reader.h"

namespace weir::cluster {
namespace {

constexpr std::size_t kMaxMessage = 500;

ClusterObject read_object(ObjectKind kind, const Field& object) {
  switch (kind) {
    case ObjectKind::kNamespace:
      return read_namespace(object);
    case ObjectKind::kNode:
      return read_node(object);
    case ObjectKind::kReplicaSet:
    case ObjectKind::kJob:
      return Workload{std::string(to_string(kind)), read_meta(object, true)};
    case ObjectKind::kPod:
      return read_pod(object);
    case ObjectKind::kService:
      return read_service(object);
    case ObjectKind::kEndpointSlice:
      return read_endpoint_slice(object);
    case ObjectKind::kNetworkSet:
      return read_network_set(object, true);
    case ObjectKind::kGlobalNetworkSet:
      return read_network_set(object, false);
    default:
      return read_policy_object(kind, object);
  }
}

/// "Pod shop/web: ".
std::string describe(ObjectKind kind, const Value& value) {
  FieldFailure ignored;
  const Field named(value, ignored);
  const Field metadata = named["metadata"];
  const std::string_view namespace_name = metadata["namespace"].text(), name = metadata["name"].text();
  return std::string(to_string(kind)) + " " + std::string(namespace_name.substr(0, 300)) +
         (namespace_name.empty() ? "" : "/") + std::string(name.substr(0, 300)) + ": ";
}

/// The object, or what is wrong with it in one line.
std::optional<ClusterObject> read_named(ObjectKind kind, const Value& value, std::string& refused,
                                        std::vector<std::string>& remarks) {
  FieldFailure failure;
  const Field object(value, failure);
  ClusterObject read = read_object(kind, object);
  if (failure.failed()) {
    refused = describe(kind, value) + failure.message;
    return std::nullopt;
  }
  for (const std::string& remark : failure.remarks) remarks.push_back(describe(kind, value) + remark);
  return read;
}

ApiFailure read_failure(const Field& status) {
  ApiFailure failure;
  failure.code = static_cast<int>(status["code"].integer(0, 999, "an HTTP code").value_or(0));
  failure.message = status["message"].text().substr(0, kMaxMessage);
  return failure;
}

Status read_event(ObjectKind kind, const Value& root, WatchEvent& event) {
  FieldFailure failure;
  const Field field(root, failure);
  const std::string_view type = field["type"].required_text();
  const Field object = field["object"];
  if (!failure.failed() && !object.present()) object.fail("is missing");
  if (failure.failed()) return invalid_argument("watch event: " + failure.message);
  if (type == "ERROR") {
    event.type = WatchEvent::Type::kError;
    event.failure = read_failure(object);
    return {};
  }
  const Field metadata = object["metadata"];
  event.resource_version = metadata["resourceVersion"].text();
  if (failure.failed()) return invalid_argument("watch event: " + failure.message);
  if (type == "BOOKMARK") {
    event.type = WatchEvent::Type::kBookmark;
    return {};
  }
  if (type != "ADDED" && type != "MODIFIED" && type != "DELETED") {
    return invalid_argument("watch event: type '" + std::string(type.substr(0, 50)) + "' is not known");
  }
  event.type = type == "DELETED" ? WatchEvent::Type::kDelete : WatchEvent::Type::kPut;
  event.object = read_named(kind, object.value(), event.refused, event.remarks);
  return {};
}

Status read_page(ObjectKind kind, const Value& root, ObjectPage& page) {
  FieldFailure failure;
  const Field list(root, failure);
  const Field metadata = list["metadata"];
  page.resource_version = metadata["resourceVersion"].required_text();
  page.continue_token = metadata["continue"].text();
  const Field items = list["items"];
  items.each_item([&](const Field& item) {
    std::string refused;
    auto object = read_named(kind, item.value(), refused, page.remarks);
    if (object) {
      page.objects.push_back(std::move(*object));
    } else {
      page.refused.push_back(std::move(refused));
    }
  });
  if (failure.failed()) return invalid_argument("list: " + failure.message);
  return {};
}

}  // namespace

Result<WatchEvent> read_watch_event(ObjectKind kind, std::string_view json) {
  WatchEvent event;
  bool read = false;
  TRY(read_json(json, false, [&](std::size_t, const Value& root) {
    read = true;
    return read_event(kind, root, event);
  }));
  if (!read) return invalid_argument("watch event: is empty");
  return event;
}

Result<ObjectPage> read_object_page(ObjectKind kind, std::string_view json) {
  ObjectPage page;
  bool read = false;
  TRY(read_json(json, false, [&](std::size_t, const Value& root) {
    read = true;
    return read_page(kind, root, page);
  }));
  if (!read) return invalid_argument("list: is empty");
  return page;
}

std::optional<ApiFailure> read_api_failure(std::string_view json) {
  std::optional<ApiFailure> found;
  const Status status = read_json(json, false, [&](std::size_t, const Value& root) {
    FieldFailure failure;
    const Field field(root, failure);
    if (field["kind"].text() == "Status" && !failure.failed()) found = read_failure(field);
    return Status();
  });
  if (!status.ok()) return std::nullopt;
  return found;
}

}  // namespace weir::cluster
