#pragma once

#include <string>

#include "base/result.h"

namespace weir::kube {

/// PEM text, or the file that holds it; a file is read anew for each connection, as its content rotates.
struct Pem {
  std::string text;
  std::string file;
  bool empty() const { return text.empty() && file.empty(); }
};

/// Where an API server is, and as whom to speak to it.
struct ApiServer {
  /// "https://10.96.0.1:443", without a slash at its end.
  std::string url;
  /// Who may have signed its certificate; empty: whom the system trusts.
  Pem ca;
  bool insecure_skip_tls_verify = false;
  /// The name in its certificate, if that is not the URL's.
  std::string tls_server_name;
  std::string proxy_url;
  Pem client_certificate, client_key;
  std::string token;
  /// Read anew for each request; beats `token`.
  std::string token_file;
};

/// The context of a kubeconfig file, the current one if `context` is empty. Files that it names are taken as relative
/// to its folder. Credential plugins (exec, auth-provider), passwords and impersonation are refused.
/// Errors: the file, the entry and what is wrong: "~/.kube/config: user 'eks': exec: credential plugins are not
/// supported; use a token or a client certificate".
Result<ApiServer> load_kubeconfig(const std::string& path, const std::string& context = {});

/// As load_kubeconfig(), of its text: `path` stands in errors, and for where files are relative to.
Result<ApiServer> read_kubeconfig(const std::string& path, const std::string& text, const std::string& context = {});

/// Where the service account of a pod is mounted.
inline constexpr const char* kServiceAccountFolder = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The service account that the kubelet gives a pod: `folder`/token and ca.crt, and the environment's
/// KUBERNETES_SERVICE_HOST and _PORT.
Result<ApiServer> in_cluster(const std::string& folder = kServiceAccountFolder);

/// The one of `kubeconfig` if that is not empty; else the pod's service account, where there is one; else that of
/// $KUBECONFIG or ~/.kube/config.
Result<ApiServer> find_api_server(const std::string& kubeconfig, const std::string& context = {});

}  // namespace weir::kube
