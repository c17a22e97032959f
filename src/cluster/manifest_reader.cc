#include "cluster/manifest_reader.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "base/file.h"
#include "cluster/internal/manifest_files.h"
#include "cluster/internal/object_reader.h"
#include "cluster/internal/policy_reader.h"

namespace weir::cluster {
namespace {

namespace fs = std::filesystem;

/// Lists in lists; kubectl writes one level.
constexpr int kMaxListDepth = 4;
/// Remarks that are told; the others are counted.
constexpr std::size_t kMaxRemarks = 50;

struct Kind {
  std::string_view group;
  std::string_view kind;
  void (*read)(const Field& object, std::string_view kind, ClusterObjects& objects);
};

void read_workload(const Field& object, std::string_view kind, ClusterObjects& objects) {
  objects.workloads.push_back({std::string(kind), read_meta(object, true)});
}

void read_any_network_set(const Field& object, std::string_view kind, ClusterObjects& objects) {
  objects.network_sets.push_back(read_network_set(object, kind == "NetworkSet"));
}

constexpr std::array<Kind, 17> kKinds{{
    {"", "Pod", [](const Field& o, std::string_view, ClusterObjects& to) { to.pods.push_back(read_pod(o)); }},
    {"", "Namespace",
     [](const Field& o, std::string_view, ClusterObjects& to) { to.namespaces.push_back(read_namespace(o)); }},
    {"", "Node", [](const Field& o, std::string_view, ClusterObjects& to) { to.nodes.push_back(read_node(o)); }},
    {"", "Service",
     [](const Field& o, std::string_view, ClusterObjects& to) { to.services.push_back(read_service(o)); }},
    {"", "Endpoints",
     [](const Field& o, std::string_view, ClusterObjects& to) { to.backends.push_back(read_endpoints(o)); }},
    {"discovery.k8s.io", "EndpointSlice",
     [](const Field& o, std::string_view, ClusterObjects& to) { to.backends.push_back(read_endpoint_slice(o)); }},
    {"apps", "ReplicaSet", read_workload},
    {"apps", "Deployment", read_workload},
    {"apps", "StatefulSet", read_workload},
    {"apps", "DaemonSet", read_workload},
    {"batch", "Job", read_workload},
    {"batch", "CronJob", read_workload},
    {"", "ReplicationController", read_workload},
    {"projectcalico.org", "NetworkSet", read_any_network_set},
    {"projectcalico.org", "GlobalNetworkSet", read_any_network_set},
    {"crd.projectcalico.org", "NetworkSet", read_any_network_set},
    {"crd.projectcalico.org", "GlobalNetworkSet", read_any_network_set},
}};

struct PolicyKind {
  std::string_view group;
  ObjectKind kind;
};

constexpr std::string_view kAdminGroup = "policy.networking.k8s.io", kCalicoGroup = "projectcalico.org";
constexpr std::array<PolicyKind, 16> kPolicyKinds{{
    {"networking.k8s.io", ObjectKind::kNetworkPolicy},
    {kAdminGroup, ObjectKind::kAdminNetworkPolicy},
    {kAdminGroup, ObjectKind::kBaselineAdminNetworkPolicy},
    {kAdminGroup, ObjectKind::kClusterNetworkPolicy},
    {kCalicoGroup, ObjectKind::kTier},
    {kCalicoGroup, ObjectKind::kCalicoNetworkPolicy},
    {kCalicoGroup, ObjectKind::kGlobalNetworkPolicy},
    {kCalicoGroup, ObjectKind::kStagedNetworkPolicy},
    {kCalicoGroup, ObjectKind::kStagedGlobalNetworkPolicy},
    {kCalicoGroup, ObjectKind::kStagedKubernetesNetworkPolicy},
    {kCalicoGroup, ObjectKind::kProfile},
    {kCalicoGroup, ObjectKind::kWorkloadEndpoint},
    {kCalicoGroup, ObjectKind::kHostEndpoint},
    {"", ObjectKind::kServiceAccount},
    {"cilium.io", ObjectKind::kCiliumNetworkPolicy},
    {"cilium.io", ObjectKind::kCiliumClusterwideNetworkPolicy},
}};

const PolicyKind* find_policy_kind(std::string_view group, std::string_view kind) {
  // Calico's objects as its API server shows them, and as it stores them.
  if (group == "crd.projectcalico.org") group = kCalicoGroup;
  const auto found = std::find_if(kPolicyKinds.begin(), kPolicyKinds.end(), [&](const PolicyKind& known) {
    return known.group == group && to_string(known.kind) == kind;
  });
  return found == kPolicyKinds.end() ? nullptr : &*found;
}

/// Kinds that have a say in verdicts, as far as we know.
bool decides_verdicts(std::string_view kind) {
  return kind.find("NetworkPolicy") != std::string_view::npos || kind == "AuthorizationPolicy";
}

std::string_view group_of(std::string_view api_version) {
  const std::size_t slash = api_version.find('/');
  return slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash);
}

/// Where an object stands, for errors, and what a raw PodList leaves out of its items.
struct Origin {
  std::string document;
  std::string_view api_version;
  std::string_view kind;
};

/// "document 3, item 2 (Pod shop/web)".
std::string describe(const Origin& origin, const Value& object, std::string_view kind) {
  FieldFailure ignored;
  const Field root(object, ignored);
  const Field metadata = root["metadata"];
  std::string name(metadata["namespace"].text());
  if (!name.empty()) name += '/';
  name += metadata["name"].text();
  std::string text = origin.document + " (" + std::string(kind.substr(0, 100));
  if (!name.empty()) text += ' ' + name.substr(0, 300);
  return text + ")";
}

class ObjectSink {
 public:
  ObjectSink(ClusterObjects& objects, ManifestNotes& notes) : objects_(objects), notes_(notes) {}

  Status take(const Value& object, const Origin& origin, int list_depth) {
    FieldFailure failure;
    const Field root(object, failure);
    std::string_view kind = root["kind"].text();
    std::string_view api_version = root["apiVersion"].text();
    if (kind.empty()) kind = origin.kind;
    if (api_version.empty()) api_version = origin.api_version;
    if (!failure.failed() && kind.empty()) root["kind"].fail("is missing");
    if (!failure.failed() && api_version.empty()) root["apiVersion"].fail("is missing");
    if (failure.failed()) return invalid_argument(origin.document + ": " + failure.message);

    const std::string_view group = group_of(api_version);
    const auto known =
        std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& k) { return k.kind == kind && k.group == group; });
    if (known != kKinds.end()) {
      known->read(root, kind, objects_);
    } else if (const PolicyKind* policy = find_policy_kind(group, kind); policy != nullptr) {
      objects_.policies.push_back(read_policy_object(policy->kind, root));
    } else if (kind.ends_with("List") && root["items"].present()) {
      return take_list(root, {origin.document, api_version, kind}, list_depth, failure);
    } else {
      auto& counts = decides_verdicts(kind) ? notes_.not_evaluated : notes_.skipped;
      ++counts[std::string(kind.substr(0, 100)) + " (" + std::string(api_version.substr(0, 100)) + ")"];
    }
    if (failure.failed()) return invalid_argument(describe(origin, object, kind) + ": " + failure.message);
    for (const std::string& remark : failure.remarks) {
      ++notes_.remarks;
      if (notes_.told.size() < kMaxRemarks) notes_.told.push_back(describe(origin, object, kind) + ": " + remark);
    }
    return {};
  }

 private:
  Status take_list(const Field& list, const Origin& origin, int depth, FieldFailure& failure) {
    if (depth >= kMaxListDepth) return invalid_argument(origin.document + ": lists nested too deep");
    Origin item_origin;
    item_origin.api_version = origin.api_version;
    item_origin.kind = origin.kind.substr(0, origin.kind.size() - 4);
    Status status;
    std::size_t number = 0;
    list["items"].each_item([&](const Field& item) {
      ++number;
      if (!status.ok()) return;
      item_origin.document = origin.document + ", item " + std::to_string(number);
      status = take(item.value(), item_origin, depth + 1);
    });
    if (status.ok() && failure.failed()) return invalid_argument(origin.document + ": " + failure.message);
    return status;
  }

  ClusterObjects& objects_;
  ManifestNotes& notes_;
};

bool is_manifest_name(const fs::path& path) {
  const fs::path extension = path.extension();
  return extension == ".yaml" || extension == ".yml" || extension == ".json";
}

Status read_manifest_file(const std::string& path, ClusterObjects& objects, ManifestNotes& notes) {
  TRY_ASSIGN(const FileBytes file, FileBytes::open(path));
  return read_manifest_text(path, file.text(), path.ends_with(".json"), objects, notes);
}

}  // namespace

Result<std::vector<std::string>> list_manifest_folder(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;  // a dangling link is no manifest
    if (it->is_regular_file(ignored) && is_manifest_name(it->path())) files.push_back(it->path().string());
  }
  if (error) return invalid_argument("read folder " + folder + ": " + error.message());
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::string> ManifestNotes::lines() const {
  std::vector<std::string> lines;
  const auto append = [&](const std::map<std::string, std::uint64_t>& counts, const std::string& what) {
    for (const auto& [kind, count] : counts) {
      lines.push_back(kind + ": " + std::to_string(count) + (count == 1 ? " object " : " objects ") + what);
    }
  };
  append(not_evaluated, "not evaluated yet: verdicts may differ from the cluster's");
  lines.insert(lines.end(), told.begin(), told.end());
  if (remarks > told.size()) lines.push_back("and " + std::to_string(remarks - told.size()) + " more such remarks");
  append(skipped, "skipped");
  return lines;
}

Status read_manifest_text(const std::string& name, std::string_view text, bool json, ClusterObjects& objects,
                          ManifestNotes& notes) {
  if (text.size() > kMaxManifestBytes) {
    return Error{ErrorCode::kResourceExhausted, name + ": larger than " + std::to_string(kMaxManifestBytes) + " bytes"};
  }
  ObjectSink sink(objects, notes);
  const std::size_t told = notes.told.size();
  bool taken = false;
  const DocumentHandler handler = [&](std::size_t number, const Value& root) {
    taken = true;
    return sink.take(root, {"document " + std::to_string(number), {}, {}}, 0);
  };
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  const bool maybe_json = first != std::string_view::npos && (text[first] == '{' || text[first] == '[');
  Status status;
  if (json || maybe_json) {
    status = read_json(text, json, handler);
    // A brace may also begin YAML in flow style, or a document of several.
    if (!status.ok() && !json && !taken) status = read_yaml(text, handler);
  } else {
    status = read_yaml(text, handler);
  }
  for (std::size_t i = told; i < notes.told.size(); ++i) notes.told[i].insert(0, name + ": ");
  if (!status.ok()) return Error{status.error().code, name + ": " + status.error().message};
  return status;
}

Result<ClusterObjects> load_manifests(std::span<const std::string> paths, ManifestNotes* notes) {
  ClusterObjects objects;
  ManifestNotes own_notes;
  ManifestNotes& to_notes = notes != nullptr ? *notes : own_notes;
  for (const std::string& path : paths) {
    std::error_code error;
    if (path == "-" || !fs::is_directory(path, error)) {
      TRY(read_manifest_file(path, objects, to_notes));
      continue;
    }
    TRY_ASSIGN(const std::vector<std::string> files, list_manifest_folder(path));
    for (const std::string& file : files) TRY(read_manifest_file(file, objects, to_notes));
  }
  return objects;
}

}  // namespace weir::cluster
