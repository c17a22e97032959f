#pragma once

#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace weir::capture {

// Netlink messages as bytes from outside: no length in them is trusted, and nothing needs to be aligned.

inline std::uint16_t read_be16(const std::uint8_t* p) {
  std::uint16_t value;
  std::memcpy(&value, p, 2);
  return __builtin_bswap16(value);
}
inline std::uint32_t read_be32(const std::uint8_t* p) {
  std::uint32_t value;
  std::memcpy(&value, p, 4);
  return __builtin_bswap32(value);
}
inline std::uint64_t read_be64(const std::uint8_t* p) {
  std::uint64_t value;
  std::memcpy(&value, p, 8);
  return __builtin_bswap64(value);
}

/// One attribute; its bytes belong to the message.
struct NetlinkAttribute {
  /// Without the flag bits (nested, network order).
  std::uint16_t type = 0;
  std::span<const std::uint8_t> bytes;

  bool has(std::size_t size) const { return bytes.size() >= size; }
};

/// Walks a row of attributes: `while (walk.next(attribute))`. A damaged length ends it.
class NetlinkAttributes {
 public:
  explicit NetlinkAttributes(std::span<const std::uint8_t> bytes) : at_(bytes.data()), end_(at_ + bytes.size()) {}

  bool next(NetlinkAttribute& out) {
    constexpr std::size_t kHeader = sizeof(nlattr);
    const auto left = static_cast<std::size_t>(end_ - at_);
    if (left < kHeader) return false;
    nlattr header;
    std::memcpy(&header, at_, kHeader);
    if (header.nla_len < kHeader || header.nla_len > left) return false;
    out.type = header.nla_type & NLA_TYPE_MASK;
    out.bytes = {at_ + kHeader, header.nla_len - kHeader};
    const std::size_t step = (header.nla_len + 3u) & ~3u;
    at_ = step >= left ? end_ : at_ + step;
    return true;
  }

 private:
  const std::uint8_t* at_;
  const std::uint8_t* end_;
};

/// One message of a datagram; its payload follows the netlink header and belongs to the datagram.
struct NetlinkMessage {
  std::uint16_t type = 0;
  std::uint16_t flags = 0;
  std::uint32_t sequence = 0;
  std::span<const std::uint8_t> payload;
};

/// Walks the messages of one datagram. A damaged length ends it: damaged() then says so.
class NetlinkMessages {
 public:
  explicit NetlinkMessages(std::span<const std::uint8_t> bytes) : at_(bytes.data()), end_(at_ + bytes.size()) {}

  bool next(NetlinkMessage& out) {
    constexpr std::size_t kHeader = sizeof(nlmsghdr);
    const auto left = static_cast<std::size_t>(end_ - at_);
    if (left == 0) return false;
    nlmsghdr header;
    if (left >= kHeader) std::memcpy(&header, at_, kHeader);
    if (left < kHeader || header.nlmsg_len < kHeader || header.nlmsg_len > left) {
      damaged_ = true;
      at_ = end_;
      return false;
    }
    out.type = header.nlmsg_type;
    out.flags = header.nlmsg_flags;
    out.sequence = header.nlmsg_seq;
    out.payload = {at_ + kHeader, header.nlmsg_len - kHeader};
    const std::size_t step = (std::size_t{header.nlmsg_len} + 3) & ~std::size_t{3};
    at_ = step >= left ? end_ : at_ + step;
    return true;
  }
  bool damaged() const { return damaged_; }

 private:
  const std::uint8_t* at_;
  const std::uint8_t* end_;
  bool damaged_ = false;
};

/// Builds a request: header, payload, attributes.
class NetlinkRequest {
 public:
  NetlinkRequest(std::uint16_t type, std::uint16_t flags, std::uint32_t sequence) {
    put(nlmsghdr{0, type, static_cast<std::uint16_t>(flags | NLM_F_REQUEST), sequence, 0});
  }
  template <typename T>
  void put(const T& value) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&value);
    bytes_.insert(bytes_.end(), bytes, bytes + sizeof(T));
    bytes_.resize((bytes_.size() + 3) & ~std::size_t{3});
  }
  template <typename T>
  void attribute(std::uint16_t type, const T& value) {
    put(nlattr{static_cast<std::uint16_t>(sizeof(nlattr) + sizeof(T)), type});
    put(value);
  }
  /// The finished request; valid until the next call.
  std::span<const std::uint8_t> finish() {
    const auto size = static_cast<std::uint32_t>(bytes_.size());
    std::memcpy(bytes_.data(), &size, sizeof size);
    return bytes_;
  }

 private:
  std::vector<std::uint8_t> bytes_;
};

}  // namespace weir::capture
