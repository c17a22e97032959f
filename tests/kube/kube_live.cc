// Follows an API server and answers questions about what it knows, one line each: the program of check_live.py.
//
// usage: kube_live_test KUBECONFIG [NODE [PAGE]]        questions on standard input, answers on standard output
//   endpoint IP [UNIX_NS]      "shop/web-1 Deployment/web app=web,tier=x" or "none"
//   service IP PORT            "shop/web:http" or "none"
//   backends IP PORT           "shop/web-1 10.0.0.1:8080; …"
//   verdict NS/POD NS/POD PORT "allow" or "deny", and the trace of the end that decided
//   set IP                     the network set, "pub" or "pvt"
//   policies [UNIX_NS]         "tiers=security calico=shop/db accounts=shop/robot": of Calico, now or then
//   counts                     "pods=3 namespaces=5 policies=1"
//   status                     one line a kind: "pods watching objects=3 lists=1 …", then "."
//   log                        the client's lines so far, then "."

#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include "app/engine_inputs.h"
#include "base/bounded_queue.h"
#include "cluster/ledger.h"
#include "kube/api_client.h"
#include "model/connection.h"
#include "policy/engine.h"

namespace weir {
namespace {

using cluster::ObjectChange;

std::int64_t now_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_REALTIME, &time);
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

std::string name_of(const model::Endpoint* endpoint) {
  return endpoint == nullptr ? "none" : endpoint->namespace_name + "/" + endpoint->name;
}

std::string describe(const model::Endpoint* endpoint) {
  if (endpoint == nullptr) return "none";
  std::string text = name_of(endpoint) + " " + endpoint->group->workload_kind + "/" + endpoint->group->workload + " ";
  for (const std::string& pair : endpoint->labels->pairs) text += (text.back() == ' ' ? "" : ",") + pair;
  return text;
}

class Program {
 public:
  Program(BoundedQueue<ObjectChange>& queue, const kube::ApiClient& client) : queue_(queue), client_(client) {}

  void take_changes() {
    std::vector<ObjectChange> changes;
    while (queue_.pop(changes, 256) > 0) {
      for (const ObjectChange& change : changes) ledger_.apply(change);
      changes.clear();
    }
  }

  std::string answer(const std::string& line) {
    std::istringstream words(line);
    std::string question, text;
    words >> question;
    if (question == "status") return status();
    if (question == "counts") {
      return "pods=" + std::to_string(ledger_.pods().size()) +
             " namespaces=" + std::to_string(ledger_.namespaces().size()) +
             " policies=" + std::to_string(ledger_.network_policies().size());
    }
    if (question == "verdict") return verdict(words);
    if (question == "policies") return policies(words);
    words >> text;
    const auto ip = IpAddress::parse(text);
    if (!ip.ok()) return "error: " + ip.error().message;
    if (question == "endpoint") {
      std::int64_t time = now_ns();
      words >> time;
      return describe(ledger_.endpoint_at(ip.value(), time == 0 ? now_ns() : time));
    }
    if (question == "set") {
      const model::Endpoint* end = ledger_.resolve(ip.value(), "", now_ns());
      return end->type == model::EndpointType::kNetworkSet ? name_of(end) : end->group->name_aggr;
    }
    std::uint16_t port = 0;
    words >> port;
    if (question == "service") {
      const auto* ref = ledger_.service_at(ip.value(), port, model::kProtoTcp, now_ns());
      return ref == nullptr ? "none" : ref->namespace_name + "/" + ref->name + ":" + ref->port_name;
    }
    if (question == "backends") {
      std::vector<cluster::Ledger::Backend> found;
      ledger_.backends(ip.value(), port, model::kProtoTcp, now_ns(), found);
      for (const auto& backend : found) {
        text += (&backend == found.data() ? (text.clear(), "") : "; ") + name_of(backend.endpoint) + " " +
                backend.ip.to_string() + ":" + std::to_string(backend.port);
      }
      return found.empty() ? "none" : text;
    }
    return "error: what is '" + line + "'?";
  }

 private:
  std::string status() const {
    const kube::ApiClientStatus status = client_.status();
    std::string text =
        std::string(status.reachable ? "reachable" : "unreachable") + (status.synced ? " synced" : " unsynced") + "\n";
    for (const kube::KindStatus& kind : status.kinds) {
      text += kind.name + "|" + kube::to_string(kind.state) + "|" + std::to_string(kind.objects) + "|" +
              std::to_string(kind.lists) + "|" + std::to_string(kind.watches) + "|" + std::to_string(kind.refused) +
              "|" + kind.last_error + "\n";
    }
    return text + ".";
  }

  std::string policies(std::istringstream& words) {
    std::int64_t time = 0;
    words >> time;
    const model::PolicySet set = time == 0 ? ledger_.policy_set() : ledger_.policy_set_at(time);
    std::string text = "tiers=";
    for (const auto& tier : set.tiers) text += tier->name;
    text += " calico=";
    for (const auto& policy : set.calico_policies) text += policy->namespace_name.value_or("") + "/" + policy->name;
    text += " accounts=";
    for (const auto& account : set.service_accounts) text += account->namespace_name + "/" + account->name;
    return text;
  }

  std::string verdict(std::istringstream& words) {
    std::string ends[2];
    policy::Query query;
    words >> ends[0] >> ends[1] >> query.dest_port;
    const model::Endpoint* pods[2] = {};
    for (int i = 0; i < 2; ++i) {
      const std::size_t slash = ends[i].find('/');
      if (slash == std::string::npos) return "error: no ns/pod";
      pods[i] = ledger_.pod_named(ends[i].substr(0, slash), ends[i].substr(slash + 1));
      if (pods[i] == nullptr || pods[i]->ips.empty()) return "error: no pod " + ends[i];
    }
    if (engine_ == nullptr || engine_version_ != ledger_.policy_inputs_version()) {
      auto made = policy::Engine::create({}, app::engine_inputs(ledger_));
      if (!made.ok()) return "error: " + made.error().message;
      engine_ = std::move(made).value();
      engine_version_ = ledger_.policy_inputs_version();
    }
    query.source = pods[0];
    query.dest = pods[1];
    query.source_ip = pods[0]->ips[0];
    query.dest_ip = pods[1]->ips[0];
    return engine_->evaluate(query).allowed() ? "allow" : "deny";
  }

  BoundedQueue<ObjectChange>& queue_;
  const kube::ApiClient& client_;
  cluster::Ledger ledger_{cluster::ClusterObjects{}};
  std::unique_ptr<policy::Engine> engine_;
  std::uint64_t engine_version_ = 0;
};

int run(const std::string& kubeconfig, const std::string& node, std::uint32_t page_size) {
  auto server = kube::load_kubeconfig(kubeconfig);
  if (!server.ok()) return std::fprintf(stderr, "%s\n", server.error().message.c_str()), 1;
  // Small, so that pushing waits for us now and then.
  auto queue = BoundedQueue<ObjectChange>::create(16);
  if (!queue.ok()) return 1;
  kube::ApiClientOptions options;
  options.node = node;
  options.page_size = page_size;
  options.refused_retry = std::chrono::milliseconds(1500);
  options.watch_time = std::chrono::seconds(5);
  std::mutex mutex;
  std::vector<std::string> log;
  auto client =
      kube::ApiClient::create(std::move(server).value(), options, *queue.value(), [&](const std::string& line) {
        const std::lock_guard lock(mutex);
        log.push_back(line);
      });
  if (!client.ok()) return std::fprintf(stderr, "%s\n", client.error().message.c_str()), 1;
  client.value()->start();
  Program program(*queue.value(), *client.value());
  std::string input;
  for (;;) {
    pollfd fds[2] = {{STDIN_FILENO, POLLIN, 0}, {queue.value()->fd(), POLLIN, 0}};
    ::poll(fds, 2, -1);
    program.take_changes();
    if (fds[0].revents == 0) continue;
    char buffer[4096];
    const ssize_t got = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (got <= 0) return 0;
    input.append(buffer, static_cast<std::size_t>(got));
    for (std::size_t end = input.find('\n'); end != std::string::npos; end = input.find('\n')) {
      const std::string line = input.substr(0, end);
      input.erase(0, end + 1);
      if (line == "log") {
        const std::lock_guard lock(mutex);
        for (const std::string& entry : log) std::cout << entry << "\n";
        std::cout << "." << std::endl;
      } else {
        std::cout << program.answer(line) << std::endl;
      }
    }
  }
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  if (argc < 2) return std::fprintf(stderr, "usage: kube_live_test KUBECONFIG [NODE [PAGE]]\n"), 2;
  // Small pages, so that a list has several.
  return weir::run(argv[1], argc > 2 ? argv[2] : "", argc > 3 ? static_cast<std::uint32_t>(std::atoi(argv[3])) : 7);
}
