#include <yaml-cpp/yaml.h>

#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "base/file.h"
#include "kube/api_server.h"
#include "kube/internal/base64.h"

namespace weir::kube {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxBytes = 4 << 20;

/// Reads one kubeconfig. What is wrong with an entry names it: "user 'admin': client-key: …".
class Reader {
 public:
  explicit Reader(std::string folder) : folder_(std::move(folder)) {}

  Result<ApiServer> read(const YAML::Node& root, std::string context) {
    if (!root.IsMap())
      return invalid_argument("is no kubeconfig: a mapping with clusters, users and contexts is wanted");
    if (context.empty()) context = text(root["current-context"]);
    if (context.empty()) return invalid_argument("names no current-context, and no context was asked for");
    TRY_ASSIGN(const YAML::Node chosen, entry(root, "contexts", "context", context));
    const std::string cluster = text(chosen["cluster"]), user = text(chosen["user"]);
    if (cluster.empty()) return invalid_argument("context '" + context + "': cluster is missing");
    ApiServer server;
    TRY_ASSIGN(const YAML::Node cluster_node, entry(root, "clusters", "cluster", cluster));
    if (Status status = read_cluster(cluster_node, server); !status.ok()) {
      return invalid_argument("cluster '" + cluster + "': " + status.error().message);
    }
    if (user.empty()) return server;
    TRY_ASSIGN(const YAML::Node user_node, entry(root, "users", "user", user));
    if (Status status = read_user(user_node, server); !status.ok()) {
      return invalid_argument("user '" + user + "': " + status.error().message);
    }
    return server;
  }

 private:
  static std::string text(const YAML::Node& node) { return node && node.IsScalar() ? node.Scalar() : std::string(); }

  /// The entry of that name: `root[list][i][member]`.
  static Result<YAML::Node> entry(const YAML::Node& root, const char* list, const char* member,
                                  const std::string& name) {
    const YAML::Node entries = root[list];
    if (entries && entries.IsSequence()) {
      for (const YAML::Node& item : entries) {
        if (!item.IsMap() || text(item["name"]) != name) continue;
        const YAML::Node value = item[member];
        if (value && value.IsMap()) return YAML::Node(value);
        return invalid_argument(std::string(member) + " '" + name + "' is empty");
      }
    }
    return invalid_argument("has no " + std::string(member) + " '" + name + "'");
  }

  std::string resolve(const std::string& path) const {
    return path.empty() || fs::path(path).is_absolute() ? path : (fs::path(folder_) / path).string();
  }

  /// `key` names a file, `key`-data holds the text as base64 and wins.
  Result<Pem> pem(const YAML::Node& node, const std::string& key) const {
    const std::string data = text(node[key + "-data"]);
    if (data.empty()) return Pem{{}, resolve(text(node[key]))};
    auto decoded = decode_base64(data);
    if (!decoded) return invalid_argument(key + "-data: is not base64");
    return Pem{std::move(*decoded), {}};
  }

  Status read_cluster(const YAML::Node& node, ApiServer& server) const {
    server.url = text(node["server"]);
    while (server.url.ends_with('/')) server.url.pop_back();
    if (!server.url.starts_with("https://") && !server.url.starts_with("http://")) {
      return invalid_argument("server: '" + server.url + "' is no https:// URL");
    }
    TRY_ASSIGN(server.ca, pem(node, "certificate-authority"));
    const std::string insecure = text(node["insecure-skip-tls-verify"]);
    if (!insecure.empty() && insecure != "true" && insecure != "false") {
      return invalid_argument("insecure-skip-tls-verify: '" + insecure + "' is not true or false");
    }
    server.insecure_skip_tls_verify = insecure == "true";
    server.tls_server_name = text(node["tls-server-name"]);
    server.proxy_url = text(node["proxy-url"]);
    return {};
  }

  Status read_user(const YAML::Node& node, ApiServer& server) const {
    for (const char* plugin : {"exec", "auth-provider"}) {
      if (!node[plugin]) continue;
      return {Error{ErrorCode::kUnsupported, std::string(plugin) +
                                                 ": credential plugins are not supported; use a token, tokenFile or "
                                                 "client certificate"}};
    }
    for (const char* key : {"username", "password", "as", "as-groups", "as-uid", "as-user-extra"}) {
      if (node[key]) return {Error{ErrorCode::kUnsupported, std::string(key) + ": is not supported"}};
    }
    TRY_ASSIGN(server.client_certificate, pem(node, "client-certificate"));
    TRY_ASSIGN(server.client_key, pem(node, "client-key"));
    if (server.client_certificate.empty() != server.client_key.empty()) {
      return invalid_argument(server.client_key.empty() ? "client-certificate has no client-key"
                                                        : "client-key has no client-certificate");
    }
    server.token = text(node["token"]);
    server.token_file = resolve(text(node["tokenFile"]));
    return {};
  }

  std::string folder_;
};

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

}  // namespace

Result<ApiServer> read_kubeconfig(const std::string& path, const std::string& text, const std::string& context) {
  if (text.size() > kMaxBytes) return invalid_argument(path + ": a kubeconfig of over 4 MiB");
  try {
    auto server = Reader(fs::path(path).parent_path().string()).read(YAML::Load(text), context);
    if (!server.ok()) return Error{server.error().code, path + ": " + server.error().message};
    return server;
  } catch (const YAML::Exception& error) {
    return invalid_argument(path + ":" + std::to_string(error.mark.line + 1) + ": " + error.msg);
  }
}

Result<ApiServer> load_kubeconfig(const std::string& path, const std::string& context) {
  TRY_ASSIGN(const FileBytes file, FileBytes::open(path));
  return read_kubeconfig(path, std::string(file.text()), context);
}

Result<ApiServer> in_cluster(const std::string& folder) {
  const std::string host = environment("KUBERNETES_SERVICE_HOST");
  std::string port = environment("KUBERNETES_SERVICE_PORT");
  if (host.empty()) {
    return Error{ErrorCode::kNotFound, "no KUBERNETES_SERVICE_HOST in the environment: this is no pod of a cluster"};
  }
  if (port.empty()) port = "443";
  ApiServer server;
  server.url = "https://" + (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + port;
  server.ca.file = folder + "/ca.crt";
  server.token_file = folder + "/token";
  for (const std::string& path : {server.ca.file, server.token_file}) {
    TRY(InputFile::open(path));
  }
  return server;
}

Result<ApiServer> find_api_server(const std::string& kubeconfig, const std::string& context) {
  if (!kubeconfig.empty()) return load_kubeconfig(kubeconfig, context);
  if (!environment("KUBERNETES_SERVICE_HOST").empty()) return in_cluster();
  std::string path = environment("KUBECONFIG");
  if (path.find(':') != std::string::npos) {
    return Error{ErrorCode::kUnsupported, "KUBECONFIG names several files, which are not merged: name one"};
  }
  if (path.empty()) path = environment("HOME") + "/.kube/config";
  std::error_code ignored;
  if (!fs::exists(path, ignored)) {
    return Error{ErrorCode::kNotFound, "no cluster to watch: no kubeconfig given, not in a pod, and no " + path};
  }
  return load_kubeconfig(path, context);
}

}  // namespace weir::kube
