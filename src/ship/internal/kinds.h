#pragma once

#include <memory>

#include "ship/destination.h"

/// One function a kind of destination, each in its file.
namespace weir::ship {

/// A Weir server's own protocol (docs/shipping.md): what was sent before is recognised, so each line is stored once.
Result<std::unique_ptr<Destination>> make_weir_server(const DestinationSpec& spec);
/// NDJSON by POST to the URL; any 2xx is success.
Result<std::unique_ptr<Destination>> make_plain_http(const DestinationSpec& spec);
Result<std::unique_ptr<Destination>> make_standard_output(const DestinationSpec& spec);

}  // namespace weir::ship
