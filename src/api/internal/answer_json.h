#pragma once

#include <string>

#include "query/graph.h"
#include "query/request.h"

/// Answers of the store as the API's JSON.
namespace weir::api {

/// {"items":[…],"columns":[…],"cursor":"…"|null,"completeness":{…},"statistics":{…}}
std::string answer_json(const query::Answer& answer);
std::string graph_json(const query::Graph& graph, query::GraphLevel level);
void append_completeness(std::string& out, const query::Completeness& completeness);

}  // namespace weir::api
