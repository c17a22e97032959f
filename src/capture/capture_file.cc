#include "capture/capture_file.h"

#include <utility>

namespace weir::capture {
namespace {

std::string display_name(const std::string& path) { return path == "-" ? "standard input" : path; }

/// What a file that is no capture may be instead, where that helps.
std::string no_capture(std::span<const std::uint8_t> bytes) {
  if (bytes.empty()) return "the file is empty";
  if (bytes.size() >= 2 && bytes[0] == 0x1F && bytes[1] == 0x8B)
    return "it is compressed with gzip: decompress it first";
  if (bytes.size() >= 4 && load32(bytes.data(), false) == 0xFD2FB528) {
    return "it is compressed with zstd: decompress it first";
  }
  return "neither pcap nor pcapng";
}

}  // namespace

Result<std::unique_ptr<CaptureFile>> CaptureFile::open(std::span<const std::uint8_t> bytes, const std::string& name) {
  const std::string prefix = "read capture " + name + ": ";
  Result<Reader> reader = invalid_argument(no_capture(bytes));
  if (PcapReader::recognises(bytes)) {
    auto pcap = PcapReader::open(ByteWindow(bytes));
    reader = pcap.ok() ? Result<Reader>(std::move(pcap).value()) : Result<Reader>(pcap.error());
  } else if (PcapngReader::recognises(bytes)) {
    auto pcapng = PcapngReader::open(bytes);
    reader = pcapng.ok() ? Result<Reader>(std::move(pcapng).value()) : Result<Reader>(pcapng.error());
  }
  if (!reader.ok()) return Error{reader.error().code, prefix + reader.error().message};
  return std::unique_ptr<CaptureFile>(new CaptureFile(name, std::move(reader).value()));
}

Result<std::unique_ptr<CaptureFile>> CaptureFile::open(const std::string& path) {
  TRY_ASSIGN(InputFile input, InputFile::open(path));
  TRY_ASSIGN(ByteWindow window, ByteWindow::of_file(input.fd()));
  if (PcapReader::recognises(window.bytes())) {
    auto pcap = PcapReader::open(std::move(window));
    if (!pcap.ok()) return Error{pcap.error().code, "read capture " + display_name(path) + ": " + pcap.error().message};
    std::unique_ptr<CaptureFile> capture(new CaptureFile(display_name(path), std::move(pcap).value()));
    capture->input_ = std::make_unique<InputFile>(std::move(input));
    return capture;
  }
  // A block of pcapng may be of any size: the whole file is wanted in one piece.
  TRY_ASSIGN(FileBytes bytes, FileBytes::of_input(input, window.bytes()));
  // On the heap first: the bytes of a short standard input lie inside the object.
  auto file = std::make_unique<FileBytes>(std::move(bytes));
  TRY_ASSIGN(std::unique_ptr<CaptureFile> capture, open(file->bytes(), display_name(path)));
  capture->file_ = std::move(file);
  return capture;
}

std::size_t CaptureFile::next_batch(std::span<packet::PacketView> out) {
  const std::size_t count = std::visit([&](auto& reader) { return reader.next_batch(out); }, reader_);
  for (const packet::PacketView& view : out.first(count)) {
    stats_.wire_bytes += view.wire_bytes;
    stats_.captured_bytes += view.captured_bytes;
  }
  stats_.packets += count;
  const auto& damage =
      std::visit([](const auto& reader) -> const std::optional<Damage>& { return reader.damage(); }, reader_);
  if (damage && status_.ok()) {
    status_ = data_loss("read capture " + name_ + ": packet " + std::to_string(stats_.packets + 1) + " at byte " +
                        std::to_string(damage->offset) + ": " + damage->what);
  }
  return count;
}

}  // namespace weir::capture
