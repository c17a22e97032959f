// `weir completion SHELL`: scripts that ask the commands themselves what may come next, so that they never go stale.

#include "app/completion.h"

#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/command_line.h"
#include "app/commands.h"
#include "observe/time_text.h"

namespace weir::app {
namespace {

// The current word goes last; bash splits at "=" too, which no option of ours needs.
constexpr const char* kBash = R"sh(# bash completion of weir: source <(weir completion bash)
_weir() {
  local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" words
  if [ "$COMP_CWORD" -eq 1 ]; then
    words=$(weir __complete 2>/dev/null)
  else
    words=$(weir "${COMP_WORDS[1]}" __complete "$previous" "$current" 2>/dev/null)
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _weir weir
)sh";

constexpr const char* kZsh = R"sh(#compdef weir
# zsh completion of weir: weir completion zsh > "${fpath[1]}/_weir"
_weir() {
  local -a candidates
  if (( CURRENT == 2 )); then
    candidates=(${(f)" $(weir __complete 2 > / dev / null) "})
    else candidates =
        (${(f) "$(weir " ${words[2]} " __complete " ${words[CURRENT - 1]} " " ${words[CURRENT]} " 2>/dev/null)"})
            fi if ((${#candidates}));
then compadd - a candidates;
else _files;
fi
}
if
  ["$funcstack[1]" = "_weir"];
then _weir "$@";
else compdef _weir weir; fi
)sh";

constexpr const char* kFish = R"sh(# fish completion of weir: weir completion fish | source
function __weir_complete
  set -l done (commandline -opc)
  set -l current (commandline -ct)
  if test (count $done) -le 1
    weir __complete 2>/dev/null
  else
    weir $done[2] __complete $done[-1] "$current" 2>/dev/null
  end
end
complete -c weir -a '(__weir_complete)'
)sh";

struct Values {
  std::string_view option;
  std::vector<std::string_view> values;
};

/// Of options that take more than a fixed list, so that their parser does not know one.
const std::vector<Values>& known_values() {
  static const std::vector<Values> kValues = {
      {"--verdict", {"FORWARDED", "DROPPED", "AUDIT"}},
      {"--protocol", {"tcp", "udp", "sctp", "icmp", "icmpv4", "icmpv6"}},
      {"--type", {"trace", "trace:from-endpoint", "trace:to-endpoint", "drop", "policy-verdict"}},
      {"--traffic-direction", {"ingress", "egress"}},
      {"--ip-version", {"v4", "v6", "none"}},
      {"--drop-reason-desc", {"POLICY_DENIED"}},
      {"--identity", {"host", "world"}},
      {"--from-identity", {"host", "world"}},
      {"--to-identity", {"host", "world"}},
      {"--rcode", {"NoError", "NXDomain", "ServFail", "Refused", "FormErr", "Timeout"}},
      {"--qtype", {"A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT", "HTTPS", "ANY"}},
      {"--since", {"5m", "15m", "1h", "6h", "24h"}},
      {"--time-format", {std::begin(observe::kTimeFormatNames), std::end(observe::kTimeFormatNames)}}};
  return kValues;
}

/// "TEXT:{a,b}" of a parser that knows the values.
std::vector<std::string> listed_values(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const std::size_t open = type.find('{'), close = type.rfind('}');
  std::vector<std::string> values;
  if (open == std::string::npos || close == std::string::npos) return values;
  std::string list = type.substr(open + 1, close - open - 1);
  for (std::size_t comma = 0; !list.empty(); list.erase(0, comma + 1)) {
    comma = std::min(list.find(','), list.size() - 1);
    values.push_back(list.substr(0, list[comma] == ',' ? comma : comma + 1));
  }
  return values;
}

bool has_name(const CLI::Option& option, std::string_view word) {
  return word.size() > 1 && word.front() == '-' && option.check_name(std::string(word));
}

void print_values(const CLI::Option& option) {
  for (const Values& known : known_values()) {
    if (!has_name(option, known.option)) continue;
    for (const std::string_view value : known.values)
      std::printf("%.*s\n", static_cast<int>(value.size()), value.data());
    return;
  }
  for (const std::string& value : listed_values(option)) std::printf("%s\n", value.c_str());
}

}  // namespace

void print_completions(const CLI::App& app, std::string_view previous, std::string_view current) {
  for (const CLI::Option* option : app.get_options()) {
    // A flag takes no value: what follows it is a new word.
    if (has_name(*option, previous) && option->get_items_expected_max() > 0) return print_values(*option);
  }
  if (current.starts_with('-')) {
    for (const CLI::Option* option : app.get_options()) {
      if (option->get_group().empty()) continue;
      for (const std::string& name : option->get_lnames()) std::printf("--%s\n", name.c_str());
    }
    return;
  }
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    std::printf("%s\n", command->get_name().c_str());
  }
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional() && option->get_lnames().empty()) print_values(*option);
  }
}

int run_completion(std::span<const char* const> args) {
  std::string shell;
  CLI::App app("Prints a completion script for a shell.", "weir completion");
  app.add_option("shell", shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  app.footer(
      "bash: source <(weir completion bash)   zsh: weir completion zsh > \"${fpath[1]}/_weir\"   fish: weir "
      "completion fish | source");
  if (const std::optional<int> code = parse_command_line(app, args)) return *code;
  std::fputs(shell == "bash" ? kBash : shell == "zsh" ? kZsh : kFish, stdout);
  return 0;
}

}  // namespace weir::app
