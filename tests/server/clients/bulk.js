// Sends documents through the bulk helper of an official client, as its users do.
//
// usage: node bulk.js elasticsearch|opensearch URL INDEX COUNT OFFSET [with-ids]
// Prints one line of JSON: what the helper says, and the documents that it dropped.
"use strict";

const [kind, url, index, count, offset, ids] = process.argv.slice(2);
const { Client } = require(kind === "elasticsearch" ? "@elastic/elasticsearch" : "@opensearch-project/opensearch");

async function* documents() {
  const now = Math.floor(Date.now() / 1000);
  for (let i = 0; i < Number(count); i++) {
    yield {
      id: `${kind}-${Number(offset) + i}`,
      document: i % 50 === 49 ? { start_time: "not a time" } : {
        host: kind, start_time: now - 15, end_time: now, action: "allow", reporter: "dst", source_namespace: "shop",
        dest_namespace: "shop", source_type: "wep", dest_type: "wep", num_flows: Number(offset) + i,
      },
    };
  }
}

async function main() {
  const client = new Client({ node: url });
  // The official client checks the product with its first answer.
  const info = await client.info();
  const dropped = [];
  const result = await client.helpers.bulk({
    datasource: documents(),
    flushBytes: 20000,
    onDocument(doc) {
      const action = ids ? { create: { _index: index, _id: doc.id } } : { index: { _index: index } };
      return [action, doc.document];
    },
    onDrop(doc) {
      dropped.push({ status: doc.status, type: doc.error && doc.error.type });
    },
  });
  const body = info.body || info;
  console.log(JSON.stringify({ product: body.version.number, total: result.total, successful: result.successful, failed: result.failed, dropped }));
}

main().catch((error) => {
  console.error(`${error.name}: ${error.message}`);
  process.exit(1);
});
