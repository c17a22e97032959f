#include <cstdio>
#include <optional>

#include "app/commands.h"
#include "app/replay_options.h"
#include "app/replay_pipeline.h"
#include "base/file.h"
#include "filter/filter.h"
#include "flowlog/dns_log.h"
#include "flowlog/flow_log.h"
#include "flowlog/l7_log.h"

namespace weir::app {
namespace {

/// The outputs that were asked for; the first error of any is kept and ends the run.
struct Outputs {
  std::optional<OutputFile> flows, dns, l7;
  flowlog::FlowLogWriter flow_writer;
  Status status;

  Status open(const ReplayOptions& options) {
    const auto open_one = [](const std::string& path, std::optional<OutputFile>& out) -> Status {
      if (path.empty()) return {};
      TRY_ASSIGN(out, OutputFile::open(path));
      return {};
    };
    TRY(open_one(options.flows, flows));
    TRY(open_one(options.dns, dns));
    return open_one(options.l7, l7);
  }

  void written(OutputFile& file) {
    Status flushed = file.flush_if_large();
    if (status.ok() && !flushed.ok()) status = std::move(flushed);
  }

  RecordSinks sinks() {
    RecordSinks sinks;
    if (flows) {
      sinks.flow = [this](const model::FlowRecord& record) {
        flow_writer.append(record, flows->buffer());
        written(*flows);
      };
    }
    if (dns) {
      sinks.dns = [this](const model::DnsRecord& record) {
        flowlog::append_dns_line(dns->buffer(), record);
        written(*dns);
      };
    }
    if (l7) {
      sinks.l7 = [this](const model::L7Record& record) {
        flowlog::append_l7_line(l7->buffer(), record);
        written(*l7);
      };
    }
    return sinks;
  }

  Status close() {
    for (std::optional<OutputFile>* file : {&flows, &dns, &l7}) {
      if (!*file) continue;
      Status closed = (*file)->close();
      if (status.ok() && !closed.ok()) status = std::move(closed);
    }
    return status;
  }
};

int fail(const Error& error) {
  std::fprintf(stderr, "weir replay: %s\n", error.message.c_str());
  return 1;
}

Status write_stats(const ReplayStats& stats, const std::string& path) {
  if (path.empty()) return {};
  TRY_ASSIGN(OutputFile out, OutputFile::open(path));
  out.buffer() = to_json(stats);
  return out.close();
}

}  // namespace

int run_replay(std::span<const char* const> args) {
  const ReplayOptionsOrExit parsed = parse_replay_options(args);
  if (!parsed.options) return parsed.exit_code;
  const ReplayOptions& options = *parsed.options;
  for (const std::string& text : options.settings.exclude) {
    const auto compiled = filter::Filter::compile(text);
    if (!compiled.ok()) {
      std::fprintf(stderr, "weir replay: --exclude '%s': %s\n", text.c_str(), compiled.error().message.c_str());
      return 2;
    }
  }

  Outputs outputs;
  if (const Status status = outputs.open(options); !status.ok()) return fail(status.error());
  auto created = ReplayPipeline::create(options.settings, options.cluster_paths, options.node, outputs.sinks());
  if (!created.ok()) return fail(created.error());
  ReplayPipeline& pipeline = *created.value();
  for (const std::string& note : pipeline.notes()) std::fprintf(stderr, "note: %s\n", note.c_str());

  int exit_code = 0;
  for (const std::string& file : options.files) {
    const Status status = pipeline.read_file(file);
    if (!status.ok()) exit_code = fail(status.error());
    if (!outputs.status.ok()) return fail(outputs.status.error());
  }
  pipeline.finish();
  if (const Status status = outputs.close(); !status.ok()) return fail(status.error());
  for (const std::string& note : loss_notes(pipeline.stats())) std::fprintf(stderr, "note: %s\n", note.c_str());
  if (const Status status = write_stats(pipeline.stats(), options.stats); !status.ok()) return fail(status.error());
  return exit_code;
}

}  // namespace weir::app
