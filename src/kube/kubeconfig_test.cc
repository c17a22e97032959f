#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "kube/api_server.h"
#include "kube/internal/base64.h"

namespace weir::kube {
namespace {

TEST(Base64, DecodesRfc4648AndRefusesTheRest) {
  EXPECT_EQ(decode_base64(""), "");
  EXPECT_EQ(decode_base64("Zg=="), "f");
  EXPECT_EQ(decode_base64("Zm8="), "fo");
  EXPECT_EQ(decode_base64("Zm9v\nYmFy\n"), "foobar");
  EXPECT_EQ(decode_base64("+/8A"), std::string("\xFB\xFF\0", 3));
  for (const char* bad : {"Z", "Zg=", "Zg", "Z===", "====", "Zg==Zg==", "Zm9v!", "Zm=v", "Zm8=A"}) {
    EXPECT_EQ(decode_base64(bad), std::nullopt) << bad;
  }
}

constexpr const char* kConfig = R"(
apiVersion: v1
kind: Config
current-context: dev
contexts:
- {name: dev, context: {cluster: kind, user: admin, namespace: x}}
- {name: prod, context: {cluster: big, user: robot}}
- {name: nobody, context: {cluster: big}}
- {name: cloud, context: {cluster: big, user: plugin}}
- {name: old, context: {cluster: big, user: basic}}
- {name: half, context: {cluster: big, user: keyless}}
- {name: lost, context: {cluster: nowhere, user: robot}}
- {name: broken, context: {cluster: big, user: undecodable}}
- {name: other, context: {cluster: big, user: as}}
- {name: typo, context: {cluster: hostless}}
clusters:
- {name: kind, cluster: {server: "https://127.0.0.1:6443/", certificate-authority-data: Q0E=, tls-server-name: kube}}
- {name: big, cluster: {server: "https://api.example:443", certificate-authority: pki/ca.crt, insecure-skip-tls-verify: true, proxy-url: "http://p:1"}}
- {name: hostless, cluster: {server: api.example}}
users:
- {name: admin, user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}}
- {name: robot, user: {tokenFile: /run/token}}
- {name: plugin, user: {exec: {command: aws}}}
- {name: basic, user: {username: u, password: p}}
- {name: keyless, user: {client-certificate: c.pem}}
- {name: undecodable, user: {client-certificate-data: "!", client-key-data: S0VZ}}
- {name: as, user: {token: t, as: root}}
)";

TEST(Kubeconfig, GivesTheCurrentContextOrTheNamedOne) {
  auto dev = read_kubeconfig("/home/me/.kube/config", kConfig);
  ASSERT_TRUE(dev.ok()) << dev.error().message;
  EXPECT_EQ(dev.value().url, "https://127.0.0.1:6443");
  EXPECT_EQ(dev.value().ca.text, "CA");
  EXPECT_EQ(dev.value().tls_server_name, "kube");
  EXPECT_EQ(dev.value().client_certificate.text, "CERT");
  EXPECT_EQ(dev.value().client_key.text, "KEY");
  EXPECT_FALSE(dev.value().insecure_skip_tls_verify);

  auto prod = read_kubeconfig("/home/me/.kube/config", kConfig, "prod");
  ASSERT_TRUE(prod.ok()) << prod.error().message;
  EXPECT_EQ(prod.value().url, "https://api.example:443");
  EXPECT_EQ(prod.value().ca.file, "/home/me/.kube/pki/ca.crt");
  EXPECT_TRUE(prod.value().insecure_skip_tls_verify);
  EXPECT_EQ(prod.value().proxy_url, "http://p:1");
  EXPECT_EQ(prod.value().token_file, "/run/token");
  EXPECT_TRUE(prod.value().client_certificate.empty());
  EXPECT_TRUE(read_kubeconfig("c", kConfig, "nobody").ok()) << "no user: anonymous";
}

TEST(Kubeconfig, SaysWhatItCannotUse) {
  struct Case {
    const char* context;
    const char* want;
  };
  for (const Case& c : {
           Case{"missing", "c: has no context 'missing'"},
           Case{"lost", "c: has no cluster 'nowhere'"},
           Case{"cloud",
                "c: user 'plugin': exec: credential plugins are not supported; use a token, tokenFile or client "
                "certificate"},
           Case{"old", "c: user 'basic': username: is not supported"},
           Case{"other", "c: user 'as': as: is not supported"},
           Case{"half", "c: user 'keyless': client-certificate has no client-key"},
           Case{"broken", "c: user 'undecodable': client-certificate-data: is not base64"},
           Case{"typo", "c: cluster 'hostless': server: 'api.example' is no https:// URL"},
       }) {
    auto read = read_kubeconfig("c", kConfig, c.context);
    ASSERT_FALSE(read.ok()) << c.context;
    EXPECT_EQ(read.error().message, c.want);
  }
  EXPECT_EQ(read_kubeconfig("c", "a: [").error().message.substr(0, 4), "c:1:");
  EXPECT_EQ(read_kubeconfig("c", "[]").error().message,
            "c: is no kubeconfig: a mapping with clusters, users and contexts is wanted");
  EXPECT_EQ(read_kubeconfig("c", "{}").error().message, "c: names no current-context, and no context was asked for");
  EXPECT_EQ(load_kubeconfig("/nonexistent/config").error().message,
            "open /nonexistent/config: No such file or directory");
}

class ServiceAccount : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "/weir-sa-" + std::to_string(::getpid());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override {
    std::filesystem::remove_all(folder_);
    ::unsetenv("KUBERNETES_SERVICE_HOST");
    ::unsetenv("KUBERNETES_SERVICE_PORT");
  }
  std::string folder_;
};

TEST_F(ServiceAccount, IsThatOfThePod) {
  EXPECT_FALSE(in_cluster(folder_).ok());
  ::setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
  ::setenv("KUBERNETES_SERVICE_PORT", "6443", 1);
  EXPECT_EQ(in_cluster(folder_).error().message, "open " + folder_ + "/ca.crt: No such file or directory");
  std::ofstream(folder_ + "/ca.crt") << "CA";
  std::ofstream(folder_ + "/token") << "T";
  auto server = in_cluster(folder_);
  ASSERT_TRUE(server.ok());
  EXPECT_EQ(server.value().url, "https://[fd00::1]:6443");
  EXPECT_EQ(server.value().token_file, folder_ + "/token");
  EXPECT_EQ(server.value().ca.file, folder_ + "/ca.crt");
}

}  // namespace
}  // namespace weir::kube
