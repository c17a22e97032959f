#pragma once

#include <cstdint>

#include "policy/internal/compiled.h"

namespace weir::policy {

/// One end of a connection, as rules tell it.
struct End {
  std::uint32_t identity = kNoPod;
  /// A row of Compiled::address_sets.
  std::uint32_t address_class = PrefixClasses::kNone;

  friend bool operator==(const End&, const End&) = default;
};

/// All that rules ask of a connection.
struct Facts {
  End source, dest;
  std::uint32_t traffic_class = 0;
  std::uint8_t protocol = 0;
  std::uint16_t source_port = 0, dest_port = 0;
  /// Columns of peer sets that hold a name of the destination; null: none does.
  const std::uint64_t* domains = nullptr;
  bool names_known = false;
  const HttpRequest* http = nullptr;

  const End& far(Direction direction) const { return direction == Direction::kEgress ? dest : source; }
};

/// The first rule of the tier's policies that matches; null if none does. Adds to `uncertainty`.
const RuleCode* first_match(const Compiled& code, const TierCode& tier, const Facts& facts, Direction direction,
                            std::uint8_t& uncertainty);

// Parts of a rule's match, for explanations.

bool peer_holds(const Compiled& code, std::uint32_t column, const Facts& facts, Direction direction);
bool traffic_holds(const Compiled& code, const RuleCode& rule, const Facts& facts);
bool check_holds(const Compiled& code, const CheckCode& check, const Facts& facts, std::uint8_t& uncertainty);

}  // namespace weir::policy
