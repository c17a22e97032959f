#include "app/agent_sources.h"

#include <string>

#include "app/conntrack_feed.h"
#include "app/ebpf_feed.h"
#include "app/packet_feed.h"

namespace weir::app {
namespace {

using Note = std::function<void(std::string_view)>;

Result<std::unique_ptr<ConnectionFeed>> open_feed(std::string_view name, const config::Settings& settings,
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

/// Opens what choose_sources() asks for, into `sources`.
class Opener {
 public:
  Opener(const config::Settings& settings, std::int64_t counted_until_ns, const Note& note, AgentSources& sources)
      : settings_(settings), counted_until_ns_(counted_until_ns), note_(note), sources_(sources) {}

  Status open(SourceRole role, std::string_view source) {
    const Status opened = try_open(role, source);
    if (opened.ok()) return opened;
    const std::string& why = opened.error().message;
    if (role == SourceRole::kVerdicts) note_("nflog: not used, verdicts are evaluated from policies only: " + why);
    if (role == SourceRole::kPayloads)
      note_("payloads: no DNS and L7 logs, domains and clients behind proxies: " + why);
    if (role == SourceRole::kTranslations) note_("nat: destinations behind services are not known: " + why);
    return opened;
  }

 private:
  Status try_open(SourceRole role, std::string_view source) {
    if (role == SourceRole::kConnections) {
      TRY_ASSIGN(sources_.feed, open_feed(source, settings_, counted_until_ns_, note_));
    } else if (role == SourceRole::kPayloads) {
      TRY_ASSIGN(sources_.payloads, PacketFeed::create(settings_, false, PacketFeed::Role::kPayloadsOnly));
    } else if (role == SourceRole::kTranslations) {
      TRY_ASSIGN(sources_.nat, NatFeed::create(settings_));
    } else {
      TRY_ASSIGN(sources_.hits, HitFeed::create(settings_, std::string_view(sources_.feed->name()) != "conntrack"));
      if (!sources_.hits->has_conntrack()) {
        note_(
            "nflog: the kernel does not tell which service a denied connection addressed (NETFILTER_NETLINK_GLUE_CT)");
      }
    }
    return {};
  }

  const config::Settings& settings_;
  const std::int64_t counted_until_ns_;
  const Note& note_;
  AgentSources& sources_;
};

}  // namespace

Result<AgentSources> open_agent_sources(const config::Settings& settings, std::int64_t counted_until_ns,
                                        const Note& note) {
  AgentSources sources;
  Opener opener(settings, counted_until_ns, note, sources);
  TRY(choose_sources(
      settings, [&](SourceRole role, std::string_view source) { return opener.open(role, source); }, sources.choices));
  for (const SourceChoice& choice : sources.choices) {
    if (choice.source == sources.feed->name()) note("source: " + std::string(choice.source) + ": " + choice.reason);
  }
  return sources;
}

}  // namespace weir::app
