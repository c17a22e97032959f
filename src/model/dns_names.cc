#include <algorithm>
#include <iterator>

#include "model/dns.h"

namespace weir::model {
namespace {

struct Name {
  std::uint16_t value;
  const char* text;
};

// IANA DNS Parameters, RR TYPEs. Sorted by value.
constexpr Name kTypes[] = {
    {1, "A"},        {2, "NS"},          {3, "MD"},     {4, "MF"},      {5, "CNAME"},   {6, "SOA"},
    {7, "MB"},       {8, "MG"},          {9, "MR"},     {10, "NULL"},   {11, "WKS"},    {12, "PTR"},
    {13, "HINFO"},   {14, "MINFO"},      {15, "MX"},    {16, "TXT"},    {17, "RP"},     {18, "AFSDB"},
    {24, "SIG"},     {25, "KEY"},        {28, "AAAA"},  {29, "LOC"},    {33, "SRV"},    {35, "NAPTR"},
    {36, "KX"},      {37, "CERT"},       {39, "DNAME"}, {41, "OPT"},    {42, "APL"},    {43, "DS"},
    {44, "SSHFP"},   {45, "IPSECKEY"},   {46, "RRSIG"}, {47, "NSEC"},   {48, "DNSKEY"}, {49, "DHCID"},
    {50, "NSEC3"},   {51, "NSEC3PARAM"}, {52, "TLSA"},  {53, "SMIMEA"}, {55, "HIP"},    {59, "CDS"},
    {60, "CDNSKEY"}, {61, "OPENPGPKEY"}, {62, "CSYNC"}, {63, "ZONEMD"}, {64, "SVCB"},   {65, "HTTPS"},
    {99, "SPF"},     {249, "TKEY"},      {250, "TSIG"}, {251, "IXFR"},  {252, "AXFR"},  {253, "MAILB"},
    {254, "MAILA"},  {255, "ANY"},       {256, "URI"},  {257, "CAA"},
};

// IANA DNS Parameters, RCODEs, in the spelling of the DNS log.
constexpr Name kRcodes[] = {
    {0, "NoError"},   {1, "FormErr"},    {2, "ServFail"},
    {3, "NXDomain"},  {4, "NotImp"},     {5, "Refused"},
    {6, "YXDomain"},  {7, "YXRRSet"},    {8, "NXRRSet"},
    {9, "NotAuth"},   {10, "NotZone"},   {11, "DSOTypeNI"},
    {16, "BADVERS"},  {17, "BADKEY"},    {18, "BADTIME"},
    {19, "BADMODE"},  {20, "BADNAME"},   {21, "BADALG"},
    {22, "BADTRUNC"}, {23, "BADCOOKIE"}, {DnsTransaction::kTimeout, "Timeout"},
};

constexpr Name kClasses[] = {{1, "IN"}, {3, "CH"}, {4, "HS"}, {254, "NONE"}, {255, "ANY"}};

template <std::size_t N>
std::string name_of(const Name (&names)[N], std::uint16_t value, const char* prefix) {
  const auto* found = std::lower_bound(std::begin(names), std::end(names), value,
                                       [](const Name& n, std::uint16_t v) { return n.value < v; });
  if (found != std::end(names) && found->value == value) return found->text;
  return prefix + std::to_string(value);
}

}  // namespace

std::string dns_type_name(std::uint16_t type) { return name_of(kTypes, type, "TYPE"); }
std::string dns_class_name(std::uint16_t rclass) { return name_of(kClasses, rclass, "CLASS"); }
std::string dns_rcode_name(std::uint16_t rcode) { return name_of(kRcodes, rcode, "RCODE"); }

}  // namespace weir::model
