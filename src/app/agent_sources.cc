#include "app/agent_sources.h"

#include <algorithm>
#include <string>

#include "app/conntrack_feed.h"
#include "app/ebpf_feed.h"
#include "app/packet_feed.h"

namespace weir::app {
namespace {

using Note = std::function<void(std::string_view)>;

Result<std::unique_ptr<ConnectionFeed>> open_feed(const std::string& name, const config::Settings& settings,
                                                  std::int64_t counted_until_ns, const Note& note) {
  if (name == "conntrack") {
    TRY_ASSIGN(std::unique_ptr<ConntrackFeed> feed, ConntrackFeed::create(settings, counted_until_ns));
    for (const std::string& problem : feed->problems()) note("conntrack: " + problem);
    return std::unique_ptr<ConnectionFeed>(std::move(feed));
  }
  if (name == "ebpf") {
    TRY_ASSIGN(std::unique_ptr<EbpfFeed> feed, EbpfFeed::create(settings, counted_until_ns != 0));
    for (const std::string& line : feed->notes()) note(line);
    return std::unique_ptr<ConnectionFeed>(std::move(feed));
  }
  TRY_ASSIGN(std::unique_ptr<PacketFeed> feed,
             PacketFeed::create(settings, counted_until_ns != 0, PacketFeed::Role::kConnections));
  return std::unique_ptr<ConnectionFeed>(std::move(feed));
}

/// The first of the wanted ones that opens; why the others did not, as notes, or as the error if none did.
Result<std::unique_ptr<ConnectionFeed>> open_best(const config::Settings& settings, std::int64_t counted_until_ns,
                                                  const Note& note, std::vector<SourceChoice>& choices) {
  std::vector<std::string> names = settings.sources;
  if (std::find(names.begin(), names.end(), "auto") != names.end()) names = {"ebpf", "conntrack", "afpacket"};
  std::string reasons;
  const auto choice = [&](std::string_view name) -> SourceChoice& {
    return *std::find_if(choices.begin(), choices.end(), [&](const SourceChoice& c) { return c.source == name; });
  };
  for (const std::string& name : names) {
    auto feed = open_feed(name, settings, counted_until_ns, note);
    if (feed.ok()) {
      choice(name) = {feed.value()->name(), true, "connections"};
      note("source: " + name + (reasons.empty() ? "" : " (not " + reasons + ")"));
      return feed;
    }
    choice(name).reason = feed.error().message;
    reasons += (reasons.empty() ? "" : "; ") + name + ": " + feed.error().message;
  }
  return Error{ErrorCode::kUnavailable, "no source of connections: " + reasons};
}

}  // namespace

Result<AgentSources> open_agent_sources(const config::Settings& settings, std::int64_t counted_until_ns,
                                        const Note& note) {
  AgentSources sources;
  // What is not tried: an earlier one will do, or it was not asked for.
  for (const char* name : {"ebpf", "conntrack", "afpacket"}) sources.choices.push_back({name, false, "not needed"});
  TRY_ASSIGN(sources.feed, open_best(settings, counted_until_ns, note, sources.choices));
  const bool at_interfaces = std::string_view(sources.feed->name()) != "conntrack";
  SourceChoice nflog{"nflog", false, "off"}, translations{"nat", false, "not needed"};
  if (settings.nflog != "off") {
    auto hits = HitFeed::create(settings, at_interfaces);
    if (hits.ok()) {
      sources.hits = std::move(hits).value();
      nflog = {"nflog", true, "verdicts of the data plane"};
      if (!sources.hits->has_conntrack()) {
        note("nflog: the kernel does not tell which service a denied connection addressed (NETFILTER_NETLINK_GLUE_CT)");
      }
    } else if (settings.nflog == "on") {
      return hits.error();
    } else {
      nflog.reason = hits.error().message;
      note("nflog: not used, verdicts are evaluated from policies only: " + hits.error().message);
    }
  }
  if (!at_interfaces && (settings.dns_log || settings.l7_log)) {
    auto payloads = PacketFeed::create(settings, false, PacketFeed::Role::kPayloadsOnly);
    if (payloads.ok()) {
      sources.payloads = std::move(payloads).value();
      for (SourceChoice& choice : sources.choices) {
        if (choice.source == "afpacket") choice = {"afpacket", true, "packets for the DNS and L7 logs"};
      }
    } else {
      note("payloads: no DNS and L7 logs, domains and clients behind proxies: " + payloads.error().message);
    }
  }
  if (at_interfaces || sources.payloads != nullptr) {
    auto nat = NatFeed::create(settings);
    if (nat.ok()) {
      sources.nat = std::move(nat).value();
      translations = {"nat", true, "destinations behind services, from conntrack"};
    } else {
      translations.reason = nat.error().message;
      note("nat: destinations behind services are not known: " + nat.error().message);
    }
  }
  sources.choices.push_back(std::move(nflog));
  sources.choices.push_back(std::move(translations));
  return sources;
}

}  // namespace weir::app
