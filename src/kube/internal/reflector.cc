#include "kube/internal/reflector.h"

#include <algorithm>
#include <limits>
#include <type_traits>

#include "base/hash.h"

namespace weir::kube {
namespace {

using cluster::ClusterObject;
using cluster::ObjectChange;
using cluster::ObjectKind;

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kSecond = 1000 * kMs;
constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::min();
/// What of an error's body is read.
constexpr std::size_t kMaxErrorBytes = 64 * 1024;
/// A watch that ends sooner without a word is a failure: else a server that accepts and hangs up is asked in a loop.
constexpr std::int64_t kShortWatch = 2 * kSecond;
/// Doublings after which the delay is at its longest anyway.
constexpr int kMaxDoublings = 20;
/// Remarks on objects that the user is told.
constexpr std::size_t kMaxRemarks = 100;
/// So many failures before others no longer wait for this kind.
constexpr int kPatience = 3;
/// So many refusals in a row of what we could see before are no start of a server any more: the user is told.
constexpr int kRefusalsOfAStart = 7;

constexpr const char* kJson = "application/json";
constexpr const char* kPartialList =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;q=0.5";
constexpr const char* kPartial = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json;q=0.5";

struct Identity {
  std::string key;
  std::uint64_t uid = 0;
};

Identity identity_of(const ClusterObject& object) {
  const auto of = [](const std::string& namespace_name, const std::string& name, const std::string& uid) {
    return Identity{namespace_name + "/" + name, hash_bytes(uid.data(), uid.size())};
  };
  return std::visit(
      [&](const auto& o) {
        using T = std::decay_t<decltype(o)>;
        if constexpr (std::is_same_v<T, cluster::Namespace>) {
          return of("", o.info.name, "");
        } else if constexpr (std::is_same_v<T, cluster::PolicyObject> || std::is_same_v<T, cluster::ServiceBackends>) {
          return of(o.namespace_name, o.name, "");
        } else {
          return of(o.meta.namespace_name, o.meta.name, o.meta.uid);
        }
      },
      object);
}

/// An object of which only kind and name are known, for its deletion.
ClusterObject named_object(ObjectKind kind, const std::string& key) {
  const std::size_t slash = key.find('/');
  cluster::ObjectMeta meta;
  meta.namespace_name = key.substr(0, slash);
  meta.name = key.substr(slash + 1);
  switch (kind) {
    case ObjectKind::kNamespace:
      return cluster::Namespace{{meta.name, {}}, cluster::kNoTime};
    case ObjectKind::kNode:
      return cluster::Node{meta, {}};
    case ObjectKind::kReplicaSet:
    case ObjectKind::kJob:
      return cluster::Workload{std::string(to_string(kind)), meta};
    case ObjectKind::kPod: {
      cluster::Pod pod;
      pod.meta = meta;
      return pod;
    }
    case ObjectKind::kService: {
      cluster::Service service;
      service.meta = meta;
      return service;
    }
    case ObjectKind::kEndpointSlice: {
      cluster::ServiceBackends slice;
      slice.namespace_name = meta.namespace_name;
      slice.name = meta.name;
      return slice;
    }
    case ObjectKind::kNetworkSet:
    case ObjectKind::kGlobalNetworkSet:
      return cluster::NetworkSet{meta, {}, {}};
    default:
      return cluster::PolicyObject{kind, meta.namespace_name, meta.name, cluster::kNoTime, {}};
  }
}

/// A token of the server's may hold any character.
std::string escape(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string escaped;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '_' || c == '.' || c == '~';
    if (plain) {
      escaped += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      escaped.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return escaped;
}

}  // namespace

Reflector::Reflector(ReflectorOptions options, std::uint32_t seed)
    : options_(std::move(options)), random_(seed), contact_ns_(kNever) {
  status_.name = options_.name;
}

std::int64_t Reflector::jittered(std::chrono::milliseconds delay) {
  const std::int64_t ns = std::chrono::nanoseconds(delay).count();
  return ns / 2 + std::uniform_int_distribution<std::int64_t>(0, ns / 2)(random_);
}

bool Reflector::settled() const {
  return status_.synced || status_.state == KindStatus::State::kForbidden ||
         status_.state == KindStatus::State::kAbsent || failures_ >= kPatience;
}

std::optional<Reflector::Request> Reflector::next(std::int64_t now_ns) {
  if (now_ns < wake_ns_) return std::nullopt;
  Request request;
  request.watch = phase_ == Phase::kWatch;
  std::string query;
  if (request.watch) {
    const std::int64_t least = options_.times.watch.count();
    const std::int64_t seconds = least + std::uniform_int_distribution<std::int64_t>(0, least)(random_);
    query = "watch=1&allowWatchBookmarks=true&timeoutSeconds=" + std::to_string(seconds) +
            "&resourceVersion=" + escape(resource_version_);
    ++status_.watches;
    watch_heard_ = false;
    // Events that come at once after a time without contact are those that we missed.
    missed_ = contact_ns_ != kNever && now_ns - contact_ns_ > kSecond;
    catch_up_ns_ = 0;
  } else {
    query = "limit=" + std::to_string(options_.page_size);
    if (continue_token_.empty()) {
      ++status_.lists;
      listed_.clear();
    } else {
      query += "&continue=" + escape(continue_token_);
    }
    if (told_.empty()) status_.state = KindStatus::State::kListing;
  }
  if (!options_.field_selector.empty()) query += "&fieldSelector=" + options_.field_selector;
  request.target = options_.paths[path_] + "?" + query;
  request.accept = !options_.metadata_only ? kJson : request.watch ? kPartial : kPartialList;
  body_.clear();
  broken_.clear();
  skipping_ = relist_ = false;
  request_ns_ = now_ns;
  return request;
}

void Reflector::on_answer(std::int64_t now_ns) {
  contact_ns_ = now_ns;
  if (std::exchange(missed_, false)) catch_up_ns_ = now_ns + kSecond;
}

bool Reflector::on_data(int http_code, std::string_view bytes, std::int64_t now_ns, std::int64_t wall_ns) {
  contact_ns_ = now_ns;
  if (http_code != 200) {
    body_.append(bytes.substr(0, kMaxErrorBytes - std::min(kMaxErrorBytes, body_.size())));
    return true;
  }
  if (phase_ == Phase::kWatch) return on_watch_data(bytes, now_ns, wall_ns);
  if (body_.size() + bytes.size() > kMaxPageBytes) {
    broken_ = "a page of the list is larger than " + std::to_string(kMaxPageBytes) + " bytes";
    return false;
  }
  body_.append(bytes);
  return true;
}

bool Reflector::on_watch_data(std::string_view bytes, std::int64_t now_ns, std::int64_t wall_ns) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    if (!skipping_ && body_.size() + part.size() > kMaxEventBytes) {
      skipping_ = true;
      body_.clear();
      doubtful_ = true;
      leave_out("an event is larger than " + std::to_string(kMaxEventBytes) + " bytes: passed over", wall_ns);
    }
    if (end == std::string_view::npos) {
      if (!skipping_) body_.append(part);
      return true;
    }
    bytes.remove_prefix(end + 1);
    if (std::exchange(skipping_, false)) continue;
    bool go_on = true;
    if (body_.empty()) {
      if (!part.empty()) go_on = take_event(part, now_ns, wall_ns);
    } else {
      body_.append(part);
      go_on = take_event(body_, now_ns, wall_ns);
      body_.clear();
    }
    if (!go_on) return false;
  }
  return true;
}

bool Reflector::take_event(std::string_view line, std::int64_t now_ns, std::int64_t wall_ns) {
  auto read = cluster::read_watch_event(options_.kind, line);
  if (!read.ok()) {
    // The watch goes on after it: to begin again would be to meet it again.
    doubtful_ = true;
    leave_out(read.error().message, wall_ns);
    return true;
  }
  cluster::WatchEvent& event = read.value();
  using Type = cluster::WatchEvent::Type;
  if (event.type == Type::kError) {
    broken_ = "watch: " + event.failure.message;
    relist_ = event.failure.code == 410;
    return false;
  }
  succeed();
  watch_heard_ = true;
  status_.state = KindStatus::State::kWatching;
  if (!event.resource_version.empty()) resource_version_ = event.resource_version;
  if (event.type == Type::kBookmark) return true;
  ++status_.events;
  remark(event.remarks);
  if (!event.object) {
    leave_out(event.refused, wall_ns);
    return true;
  }
  const bool live = now_ns >= catch_up_ns_;
  if (event.type == Type::kPut) {
    put(std::move(*event.object), live, wall_ns);
  } else {
    known_.erase(identity_of(*event.object).key);
    changes_.push_back({ObjectChange::Action::kDelete, live, wall_ns, std::move(*event.object)});
  }
  status_.objects = known_.size();
  return true;
}

void Reflector::put(ClusterObject object, bool live, std::int64_t wall_ns) {
  const Identity identity = identity_of(object);
  const auto [it, fresh] = known_.try_emplace(identity.key, identity.uid);
  if (!fresh && it->second != identity.uid) {
    // Another object has the name: we missed that the first one went.
    it->second = identity.uid;
    changes_.push_back({ObjectChange::Action::kDelete, false, wall_ns, named_object(options_.kind, identity.key)});
  }
  changes_.push_back({ObjectChange::Action::kPut, live, wall_ns, std::move(object)});
}

void Reflector::remove(const std::string& key, bool live, std::int64_t wall_ns) {
  changes_.push_back({ObjectChange::Action::kDelete, live, wall_ns, named_object(options_.kind, key)});
}

void Reflector::begin_list() {
  phase_ = Phase::kList;
  continue_token_.clear();
  listed_.clear();
}

void Reflector::take_page(std::int64_t now_ns, std::int64_t wall_ns) {
  auto read = cluster::read_object_page(options_.kind, body_);
  body_.clear();
  body_.shrink_to_fit();
  if (!read.ok()) {
    begin_list();
    fail(read.error().message, 0, now_ns, wall_ns);
    return tell(read.error().message);
  }
  cluster::ObjectPage& page = read.value();
  succeed();
  for (const std::string& refused : page.refused) leave_out(refused, wall_ns);
  remark(page.remarks);
  for (ClusterObject& object : page.objects) {
    Identity identity = identity_of(object);
    listed_[std::move(identity.key)] = identity.uid;
    put(std::move(object), false, wall_ns);
  }
  status_.objects = known_.size();
  continue_token_ = std::move(page.continue_token);
  wake_ns_ = 0;
  if (!continue_token_.empty()) return;
  resource_version_ = std::move(page.resource_version);
  end_list(wall_ns);
}

void Reflector::end_list(std::int64_t wall_ns) {
  for (auto it = known_.begin(); it != known_.end();) {
    if (listed_.contains(it->first)) {
      ++it;
      continue;
    }
    remove(it->first, false, wall_ns);
    known_.erase(it++);
  }
  listed_ = {};
  doubtful_ = false;
  status_.objects = known_.size();
  status_.synced = true;
  status_.state = KindStatus::State::kWatching;
  phase_ = Phase::kWatch;
}

void Reflector::on_end(int http_code, std::string_view transport_error, std::int64_t retry_after_s, std::int64_t now_ns,
                       std::int64_t wall_ns) {
  if (!transport_error.empty() || !broken_.empty()) {
    if (relist_) {
      begin_list();
      wake_ns_ = now_ns + jittered(options_.times.first_retry);
      return note_error(broken_, wall_ns);
    }
    // A watch that was cut goes on where it was; of a list, the page is asked for again.
    if (broken_.empty()) {
      fail(std::string(transport_error), 0, now_ns, wall_ns);
      failed_on_the_way_ = true;
      return;
    }
    fail(broken_, 0, now_ns, wall_ns);
    return tell(broken_);
  }
  contact_ns_ = now_ns;
  if (http_code == 200) return phase_ == Phase::kList ? take_page(now_ns, wall_ns) : end_watch(now_ns);
  const auto failure = cluster::read_api_failure(body_);
  std::string message = "HTTP " + std::to_string(http_code);
  if (failure && !failure->message.empty()) message += ": " + failure->message;
  body_.clear();
  if (http_code == 410) {
    // The place is forgotten: that of the watch, or that of the list.
    const bool first_page = phase_ == Phase::kList && continue_token_.empty();
    begin_list();
    if (first_page) {
      fail(message, retry_after_s, now_ns, wall_ns);
      return tell(message);
    }
    wake_ns_ = now_ns + jittered(options_.times.first_retry);
    return note_error(message, wall_ns);
  }
  if (http_code == 403 || http_code == 404) return refuse(http_code, message, now_ns, wall_ns);
  // The server is back from being away, and not ready yet: how long it was away says nothing about that.
  if (failed_on_the_way_) failures_ = std::min(failures_, kPatience - 1);
  fail(message, retry_after_s, now_ns, wall_ns);
  tell(message);
}

void Reflector::end_watch(std::int64_t now_ns) {
  // Its time was over, or the server ends. A part of a line is an event that comes again.
  body_.clear();
  if (doubtful_) begin_list();
  if (watch_heard_ || now_ns - request_ns_ >= kShortWatch) {
    wake_ns_ = 0;
    return;
  }
  ++failures_;
  wake_ns_ = now_ns + jittered(options_.times.first_retry * (1 << std::min(failures_, 8)));
}

void Reflector::refuse(int http_code, const std::string& message, std::int64_t now_ns, std::int64_t wall_ns) {
  // Permission is asked before existence: after a place that does not exist, 403 says no more than 404.
  const bool absent = http_code == 404 || path_ > 0;
  if (http_code == 404 && path_ + 1 < options_.paths.size()) {
    ++path_;
    begin_list();
    wake_ns_ = 0;
    return;
  }
  if (absent) {
    path_ = 0;
    begin_list();
  }
  status_.state = absent ? KindStatus::State::kAbsent : KindStatus::State::kForbidden;
  ++status_.failures;
  note_error(message, wall_ns);
  const int doublings = std::min(refusals_++, kMaxDoublings);
  if (!told_refused_ && (!status_.synced || refusals_ >= kRefusalsOfAStart)) {
    told_refused_ = true;
    told_ = message;
    const std::string why = absent ? "not served by this cluster" : "no permission to list and watch";
    if (!absent || !options_.optional) messages_.push_back(options_.name + ": " + why + "; left out (" + message + ")");
  }
  const auto soon = options_.times.first_retry * (std::int64_t{1} << doublings);
  if ((!absent || status_.synced) && soon < options_.times.refused_retry) {
    wake_ns_ = now_ns + jittered(soon);
    return;
  }
  wake_ns_ = now_ns + jittered(options_.times.refused_retry) +
             std::chrono::nanoseconds(options_.times.refused_retry).count() / 2;
}

void Reflector::fail(const std::string& message, std::int64_t retry_after_s, std::int64_t now_ns,
                     std::int64_t wall_ns) {
  ++status_.failures;
  failed_on_the_way_ = false;
  status_.state = KindStatus::State::kRetrying;
  note_error(message, wall_ns);
  const int doublings = std::min(failures_++, kMaxDoublings);
  const auto delay = std::min(options_.times.last_retry, options_.times.first_retry * (std::int64_t{1} << doublings));
  wake_ns_ = now_ns + std::max(jittered(delay), std::min<std::int64_t>(retry_after_s, 3600) * kSecond);
}

void Reflector::server_is_back(std::int64_t now_ns) {
  if (failures_ == 0 || !failed_on_the_way_) return;
  wake_ns_ = std::min(wake_ns_, now_ns + jittered(std::chrono::milliseconds(1000)));
}

void Reflector::tell(const std::string& message) {
  if (failures_ < kPatience || !told_.empty()) return;
  told_ = message;
  messages_.push_back(options_.name + ": " + message + "; tried again, the last known state is kept");
}

void Reflector::succeed() {
  failures_ = refusals_ = 0;
  wake_ns_ = 0;
  if (!told_.empty()) messages_.push_back(options_.name + (status_.synced ? ": followed again" : ": followed now"));
  told_.clear();
  told_refused_ = false;
}

void Reflector::note_error(const std::string& message, std::int64_t wall_ns) {
  status_.last_error = message;
  status_.last_error_ns = wall_ns;
}

void Reflector::leave_out(const std::string& message, std::int64_t wall_ns) {
  if (status_.refused++ == 0) messages_.push_back(options_.name + ": left out: " + message + " (told once)");
  note_error(message, wall_ns);
}

void Reflector::remark(const std::vector<std::string>& remarks) {
  for (const std::string& text : remarks) {
    if (remarks_.size() < kMaxRemarks && remarks_.insert(text).second) messages_.push_back(options_.name + ": " + text);
  }
}

void Reflector::take_changes(std::vector<ObjectChange>& out) {
  std::move(changes_.begin(), changes_.end(), std::back_inserter(out));
  changes_.clear();
}

void Reflector::take_messages(std::vector<std::string>& out) {
  std::move(messages_.begin(), messages_.end(), std::back_inserter(out));
  messages_.clear();
}

}  // namespace weir::kube
