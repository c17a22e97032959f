// Compiler: which identities, address classes and traffic classes the sets of rules hold.

#include <algorithm>

#include "policy/internal/compiler.h"

namespace weir::policy {
namespace {

constexpr std::size_t kToleratedAddressSets = 500;

}  // namespace

void Compiler::refresh_traffic(const Entities::Change& change) {
  const auto cut_ports = [&](std::uint32_t identity) {
    for (const NamedPortCode& port : entities_.identities()[identity].named_ports) {
      cut_ |= code_.traffic_classes.cut(port.protocol, port.port, port.port);
      // Who asks for source ports may ask for named ones.
      code_.source_classes.cut(port.protocol, port.port, port.port);
    }
  };
  if (change.rebuilt) {
    for (std::uint32_t i = 1; i < entities_.identities().size(); ++i) cut_ports(i);
  } else {
    std::for_each(change.identities.begin(), change.identities.end(), cut_ports);
  }
  if (cut_) code_.traffic_classes.number();
  if (cut_ || !code_.traffic_sets.has_room(traffic_.size())) {
    code_.traffic_sets = BitMatrix(code_.traffic_classes.size(), traffic_.size());
    filled_traffic_ = 1;
  }
  cut_ = false;
  for (; filled_traffic_ < traffic_.size(); ++filled_traffic_) {
    code_.traffic_classes.for_each_class(traffic_[filled_traffic_],
                                         [&](std::uint32_t one) { code_.traffic_sets.set(one, filled_traffic_); });
  }
  if (!code_.source_traffic.empty()) {
    for (const TrafficSet& set : code_.source_traffic) code_.source_classes.cut(set);
    code_.source_classes.number();
  }
}

void Compiler::refresh_pod_sets(const Entities::Change& change) {
  const std::size_t identities = entities_.identities().size();
  const std::size_t columns = peers_.size() + 1;
  code_.peer_columns = static_cast<std::uint32_t>(columns);
  if (change.rebuilt || !code_.pod_sets.has_room(columns)) {
    code_.pod_sets = BitMatrix(identities, columns);
    filled_peers_ = 0;
  } else {
    code_.pod_sets.add_rows(identities);
    for (const std::uint32_t identity : change.identities) {
      const model::LabelSet& labels = entities_.identities()[identity].labels;
      code_.pod_sets.clear_row(identity);
      for (std::size_t i = 0; i < filled_peers_; ++i) {
        const auto holds = [&](std::uint32_t selector) { return entities_.selects(selector, labels); };
        if (std::any_of(peers_[i].selectors.begin(), peers_[i].selectors.end(), holds)) {
          code_.pod_sets.set(identity, i + 1);
        }
      }
    }
  }
  for (; filled_peers_ < peers_.size(); ++filled_peers_) {
    for (const std::uint32_t selector : peers_[filled_peers_].selectors) {
      for (const std::uint32_t member : entities_.members(selector)) code_.pod_sets.set(member, filled_peers_ + 1);
    }
  }
}

/// The address sets that make up a peer set.
void Compiler::resolve(PeerEntry& entry) {
  entry.addresses.clear();
  for (const AddressSet& set : entry.peers.addresses) {
    AddressSet one = set;
    if (entry.peers.no_nodes) one.except.insert(one.except.end(), node_addresses_.begin(), node_addresses_.end());
    entry.addresses.push_back(intern_addresses(std::move(one)));
  }
  for (const std::uint32_t selector : entry.selectors) {
    for (const std::uint32_t owner : entities_.owners_of(selector)) {
      const std::vector<IpPrefix>& nets = entities_.owners()[owner].nets;
      if (!nets.empty()) entry.addresses.push_back(intern_addresses({nets, {}}));
    }
  }
  for (const ServiceKey& service : entry.peers.services) {
    const auto found = endpoints_.find(service);
    if (found == endpoints_.end()) continue;
    AddressSet one;
    for (const auto& subset : found->second->subsets) {
      for (const IpAddress& ip : subset.addresses) one.include.push_back({ip, 128});
    }
    if (!one.include.empty()) entry.addresses.push_back(intern_addresses(std::move(one)));
  }
}

void Compiler::refresh_address_sets(bool changed) {
  // Sets of objects that are gone stay until they are most of all; everything is resolved anew then.
  const bool swept = changed && address_sets_.size() > 2 * live_addresses_ + kToleratedAddressSets;
  if (swept) {
    address_sets_.clear();
    address_numbers_.clear();
    classified_addresses_ = static_cast<std::size_t>(-1);
  }
  if (changed) {
    addressed_peers_ = 0;
    service_addresses_.clear();
    endpoints_.clear();
    for (const auto& service : set_.services) endpoints_[{service->namespace_name, service->name}] = service.get();
    node_addresses_.clear();
    for (const auto& node : set_.nodes) {
      for (const IpAddress& ip : node->addresses) node_addresses_.push_back({ip, 128});
    }
  }
  const std::size_t first = addressed_peers_;
  for (; addressed_peers_ < peers_.size(); ++addressed_peers_) resolve(peers_[addressed_peers_]);
  for (std::size_t i = service_addresses_.size(); i < services_.size(); ++i) {
    service_addresses_.emplace_back();
    const auto found = endpoints_.find(services_[i]);
    if (found == endpoints_.end()) continue;
    for (const auto& subset : found->second->subsets) {
      AddressSet one;
      for (const IpAddress& ip : subset.addresses) one.include.push_back({ip, 128});
      service_addresses_.back().push_back(intern_addresses(std::move(one)));
    }
  }
  if (swept) live_addresses_ = address_sets_.size();
  const bool reclassify = address_sets_.size() != classified_addresses_;
  if (reclassify) {
    std::vector<const AddressSet*> sets;
    sets.reserve(address_sets_.size());
    for (const AddressSet& set : address_sets_) sets.push_back(&set);
    code_.address_classes = PrefixClasses(sets);
    classified_addresses_ = address_sets_.size();
  }
  const bool whole = changed || reclassify || !code_.address_sets.has_room(peers_.size() + 1);
  if (whole) code_.address_sets = BitMatrix(2 * std::size_t{code_.address_classes.size()}, peers_.size() + 1);
  fill_address_columns(whole ? 0 : static_cast<std::uint32_t>(first));
}

void Compiler::fill_address_columns(std::uint32_t first) {
  const std::uint32_t classes = code_.address_classes.size();
  for (std::size_t i = first; i < peers_.size(); ++i) {
    for (const std::uint32_t set : peers_[i].addresses) {
      for (const std::uint32_t one : code_.address_classes.classes_of(set)) {
        code_.address_sets.set(one, i + 1);
        if (!peers_[i].peers.outside_only) code_.address_sets.set(classes + one, i + 1);
      }
    }
  }
}

void Compiler::refresh_services() {
  code_.services.assign(services_.size(), {});
  for (std::size_t i = 0; i < services_.size(); ++i) {
    const auto found = endpoints_.find(services_[i]);
    if (found == endpoints_.end()) continue;
    for (std::size_t s = 0; s < found->second->subsets.size(); ++s) {
      ServiceCode::Subset subset;
      subset.address_classes.resize(code_.address_classes.size());
      for (const std::uint32_t one : code_.address_classes.classes_of(service_addresses_[i][s])) {
        subset.address_classes[one] = true;
      }
      for (const auto& port : found->second->subsets[s].ports) {
        subset.traffic.unite(TrafficSet::ports(port.protocol, port.port, port.port));
      }
      code_.services[i].subsets.push_back(std::move(subset));
    }
  }
}

void Compiler::refresh_domains() {
  std::map<std::string, std::vector<std::uint32_t>> patterns;
  for (std::uint32_t i = 0; i < peers_.size(); ++i) {
    for (const std::string& domain : peers_[i].peers.domains) patterns[domain].push_back(i + 1);
  }
  const auto& owners = entities_.owners();
  const bool owners_have = std::any_of(owners.begin(), owners.end(), [](const auto& o) { return !o.domains.empty(); });
  for (std::uint32_t i = 0; owners_have && i < peers_.size(); ++i) {
    for (const std::uint32_t selector : peers_[i].selectors) {
      for (const std::uint32_t owner : entities_.owners_of(selector)) {
        for (const std::string& domain : owners[owner].domains) patterns[domain].push_back(i + 1);
      }
    }
  }
  code_.domains.clear();
  code_.domain_columns.clear();
  if (patterns.empty()) return;
  code_.domain_columns.resize(peers_.size() / 64 + 1);
  for (auto& [text, columns] : patterns) {
    for (const std::uint32_t column : columns) code_.domain_columns[column / 64] |= std::uint64_t{1} << (column % 64);
    code_.domains.push_back({text, std::move(columns)});
  }
}

}  // namespace weir::policy
