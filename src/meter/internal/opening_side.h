#pragma once

#include "meter/internal/connection_entry.h"
#include "packet/packet.h"

namespace weir::meter {

/// Whether the sender of a connection's first captured packet is the side that opened it: the sender of a SYN, the
/// receiver of a SYN-ACK or of an ICMP reply; else the sender, unless only the sender has a service's port and the
/// receiver an ephemeral one (of TCP: none of a service).
bool opened_by_sender(const packet::DecodedPacket& packet);

/// Where a connection stands with its first packet.
State first_state(const packet::DecodedPacket& packet);

/// Whether the side that opened with this packet expects an answer, so that none is worth a note.
bool expects_answer(const packet::DecodedPacket& packet);

}  // namespace weir::meter
