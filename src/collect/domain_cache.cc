#include "collect/domain_cache.h"

#include <algorithm>

namespace weir::collect {

void DomainCache::learn(const model::DnsTransaction& transaction) {
  if (transaction.answer_ns == 0 || transaction.rcode != 0) return;
  for (const model::DnsRecordData& record : transaction.answers) {
    if (record.address.is_none()) continue;
    const auto ttl_ns = static_cast<std::int64_t>(record.ttl) * 1'000'000'000;
    learn_address({transaction.client, record.address}, transaction.qname, transaction.answer_ns,
                  transaction.answer_ns + ttl_ns + options_.grace.count());
  }
}

void DomainCache::learn_address(const Key& key, std::string_view name, std::int64_t now_ns, std::int64_t expires_ns) {
  if (entries_.size() >= options_.max_entries && !entries_.contains(key)) {
    absl::erase_if(entries_, [&](const auto& item) { return item.second.expires_ns < now_ns; });
    if (entries_.size() >= options_.max_entries) {
      ++dropped_;
      return;
    }
  }
  Entry& entry = entries_[key];
  const bool fresh = entry.names == nullptr || entry.expires_ns < now_ns;
  entry.expires_ns = std::max(entry.expires_ns, expires_ns);
  if (!fresh && std::find(entry.names->begin(), entry.names->end(), name) != entry.names->end()) return;
  const std::string_view kept = *names_.emplace(name).first;
  NameList list = fresh ? NameList{} : *entry.names;
  list.push_back(kept);
  entry.names = &lists_.emplace_back(std::move(list));
}

std::span<const std::string_view> DomainCache::find(const IpAddress& client, const IpAddress& address,
                                                    std::int64_t at_ns) const {
  const auto found = entries_.find(Key{client, address});
  if (found == entries_.end() || found->second.expires_ns < at_ns) return {};
  return *found->second.names;
}

}  // namespace weir::collect
