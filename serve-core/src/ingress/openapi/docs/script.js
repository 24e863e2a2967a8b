"use strict";
// Shows openapi.json. Everything that comes from the document is set as text, never as HTML.

const at = (id) => document.getElementById(id);

/** An element with attributes and children; texts stay texts. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

/** A text in which `code` between backticks is set apart. */
function prose(text) {
  const parts = text.split("`");
  if (parts.length % 2 === 0) {
    // The last one has no counterpart, and stays as it is.
    const rest = parts.pop();
    parts.push(`${parts.pop()}\`${rest}`);
  }
  return parts.map((part, at) => (at % 2 ? make("code", {}, part) : part));
}

const hint = (text) => make("span", { class: "hint" }, ...prose(text));

let schemas = {};
const nameOf = (schema) => schema?.$ref?.split("/").pop();
const resolved = (schema) => (schema?.$ref ? schemas[nameOf(schema)] ?? {} : schema ?? {});
const alternatives = (schema) => schema.oneOf ?? schema.anyOf;

/** A type in a few words. */
function typeOf(schema) {
  if (nameOf(schema)) return nameOf(schema);
  if (schema === true || schema == null || !Object.keys(schema).length) return "any";
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (alternatives(schema)) return alternatives(schema).map(typeOf).join(" | ");
  if (schema.allOf) return schema.allOf.map(typeOf).join(" & ");
  const types = [schema.type ?? "any"].flat();
  return types.map((type) => {
    if (type === "array" && schema.prefixItems) return `[${schema.prefixItems.map(typeOf).join(", ")}]`;
    if (type === "array") return `${typeOf(schema.items)}[]`;
    if (type === "object" && schema.additionalProperties instanceof Object && !schema.properties) {
      return `{ [key]: ${typeOf(schema.additionalProperties)} }`;
    }
    return type;
  }).join(" | ");
}

/** A value that fits, to begin with. */
function exampleOf(schema, depth = 0) {
  const known = resolved(schema);
  if (known === true || depth > 5) return null;
  if (known.examples?.length) return known.examples[0];
  for (const key of ["example", "default", "const"]) if (key in known) return known[key];
  if (known.enum) return known.enum[0];
  const several = alternatives(known);
  if (several) return exampleOf(several.find((one) => one.type !== "null") ?? several[0], depth + 1);
  if (known.allOf) return Object.assign({}, ...known.allOf.map((part) => exampleOf(part, depth + 1)));
  const type = [known.type].flat().find((one) => one !== "null");
  if (type === "object" || known.properties) {
    const entries = Object.entries(known.properties ?? {});
    return Object.fromEntries(entries.map(([key, value]) => [key, exampleOf(value, depth + 1)]));
  }
  if (type === "array") {
    return known.prefixItems ? known.prefixItems.map((one) => exampleOf(one, depth + 1))
      : [exampleOf(known.items, depth + 1)];
  }
  return { string: "", integer: 0, number: 0, boolean: false }[type] ?? null;
}

/** What a schema consists of: its properties, or the alternatives it has. */
function partsOf(schema, depth = 0) {
  if (depth > 4) return null;
  if (schema.properties) {
    const required = schema.required ?? [];
    return make("table", {}, ...Object.entries(schema.properties).map(([key, value]) =>
      make("tr", {},
        make("td", {}, make("code", {}, key), required.includes(key) ? requiredMark() : null),
        make("td", { class: "wide" }, typeLink(value), descriptionOf(value),
          nameOf(value) ? null : partsOf(value.items ?? value, depth + 1)))));
  }
  const several = alternatives(schema)?.filter((one) => one.type !== "null");
  if (!several?.some((one) => one.description || one.properties || nameOf(one))) return null;
  return make("div", { class: "nested" }, ...several.map((one) => make("div", {}, typeLink(one),
    descriptionOf(one), nameOf(one) ? null : partsOf(one, depth + 1))));
}

const requiredMark = () => make("span", { class: "required" }, "required");
const descriptionOf = (schema) => schema?.description ? hint(`  ${schema.description}`) : null;

function typeLink(schema) {
  const named = [schema, schema?.items, ...alternatives(schema ?? {}) ?? []].find(nameOf);
  const target = nameOf(named);
  const text = make("code", {}, typeOf(schema));
  return target in schemas ? make("a", { href: `#schema-${target}` }, text) : text;
}

/** A path with its parameters set apart. */
function pathOf(path) {
  const parts = path.split(/(\{[^}]*\})/).map((part) => part.startsWith("{") ? make("em", {}, part) : part);
  return make("span", { class: "path" }, ...parts);
}

function endpoint(base, path, verb, operation) {
  const parameters = operation.parameters ?? [];
  const [bodyType, body] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
  const section = make("div", { class: "body" });
  if (operation.description) section.append(make("p", {}, ...prose(operation.description)));
  if (parameters.length) {
    section.append(make("h3", {}, "Parameters"), make("table", {}, ...parameters.map((one) =>
      make("tr", {},
        make("td", {}, make("code", {}, one.name), one.required ? requiredMark() : null),
        make("td", {}, make("span", { class: "hint" }, one.in)),
        make("td", { class: "wide" }, typeLink(one.schema), descriptionOf(one.schema))))));
  }
  if (bodyType) {
    section.append(make("h3", {}, "Body"), make("p", {}, make("code", {}, bodyType), "  ",
      body.schema && !body.schema.properties ? typeLink(body.schema) : ""));
    const parts = body.schema && partsOf(body.schema);
    if (parts) section.append(parts);
  }
  const socket = operation["x-websocket"];
  if (socket) section.append(make("h3", {}, "Messages"), messagesOf(socket));
  section.append(make("h3", {}, "Responses"), responses(operation.responses));
  section.append(make("h3", {}, "Try it"), socket ? conversation(base, path, socket, parameters)
    : trial(base, path, verb, operation, parameters, bodyType, body));
  const kind = socket ? "ws" : verb;
  return make("details", { class: "card", id: operation.operationId },
    make("summary", {}, make("span", { class: `verb ${kind}` }, kind.toUpperCase()), pathOf(path),
      hint(operation.summary ?? "")), section);
}

/** What comes back. The ways to fail that all methods have, which are much the same, are folded away. */
function responses(all) {
  const entries = Object.entries(all);
  const stands = ([status, response]) => status.startsWith("2") || status === "101" || response["x-own"];
  const folded = entries.filter((entry) => !stands(entry));
  const names = folded.map(([status]) => (status === "default" ? "others" : status)).join(", ");
  const title = entries.some(([, response]) => response["x-own"]) ? "Other errors" : "Errors";
  return make("div", {}, tableOf(entries.filter(stands)),
    make("details", { class: "more" }, make("summary", {}, `${title}: ${names}`), tableOf(folded)));
}

function tableOf(entries) {
  return make("table", {}, ...entries.map(([status, response]) => {
    const kinds = Object.entries(response.content ?? {});
    return make("tr", {},
      make("td", {}, make("code", { class: status < 400 ? "ok" : "fail" }, status)),
      make("td", { class: "wide" }, hint(response.description),
        ...(status < 400 ? kinds : []).map(([type, { schema }]) => make("div", {}, make("code", {}, type), "  ",
          schema && !type.startsWith("text/") ? typeLink(schema) : ""))));
  }));
}

/** What the client sends and receives on a WebSocket. */
function messagesOf({ in: sent, out: received, formats }) {
  const row = (name, format, schema) => make("tr", {},
    make("td", {}, name),
    make("td", { class: "wide" }, make("span", { class: "hint" }, `${format}  `),
      format === "json" ? typeLink(schema) : null,
      format === "json" && !nameOf(schema) ? partsOf(schema) : null));
  return make("table", {}, row("You send", formats.in, sent), row("You receive", formats.out, received));
}

/** Shows the endpoints and the schemas that have the text, without the headings of what has none. */
function filter() {
  const wanted = at("filter").value.trim().toLowerCase();
  let found = 0;
  for (const section of document.querySelectorAll("main > section")) {
    const cards = [...section.querySelectorAll("details.card")];
    for (const card of cards) {
      card.hidden = !card.firstChild.textContent.toLowerCase().includes(wanted);
    }
    const shown = cards.filter((card) => !card.hidden).length;
    section.hidden = shown === 0;
    found += shown;
  }
  at("nothing").hidden = found > 0;
  at("nothing").textContent = `Nothing here contains “${at("filter").value.trim()}”.`;
}

/** Opens what the address points to. */
function follow() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.tagName === "DETAILS") {
    target.open = true;
    target.scrollIntoView({ block: "start" });
  }
}

function present(api) {
  schemas = api.components?.schemas ?? {};
  const prefix = api.servers?.[0]?.url ?? "/";
  const base = prefix.replace(/\/$/, "");
  document.title = api.info.title;
  at("title").textContent = api.info.title;
  at("about").append("route prefix ", make("code", {}, prefix), "  ·  ",
    make("a", { href: "openapi.json" }, "openapi.json"));
  if (api.info.description) at("more").append(...prose(api.info.description));
  for (const [path, verbs] of Object.entries(api.paths)) {
    for (const [verb, operation] of Object.entries(verbs)) {
      at("endpoints").append(endpoint(base, path, verb, operation));
    }
  }
  if (!at("endpoints").children.length) {
    at("endpoints").append(make("p", { class: "hint" }, "This application has no typed endpoints."));
    at("filter").hidden = true;
  }
  const named = Object.entries(schemas);
  at("schemas-section").hidden = !named.length;
  at("schemas").append(...named.map(([name, schema]) =>
    make("details", { class: "card", id: `schema-${name}` },
      make("summary", {}, make("code", {}, name), hint(schema.description ?? "")),
      make("div", { class: "body" }, partsOf(schema) ?? make("p", {}, make("code", {}, typeOf(schema)))))));
  at("filter").addEventListener("input", filter);
  addEventListener("hashchange", follow);
  follow();
}

fetch("openapi.json")
  .then((response) => response.ok ? response.json() : Promise.reject(new Error(`status ${response.status}`)))
  .then(present)
  .catch((error) => {
    at("problem").hidden = false;
    at("problem").textContent = `openapi.json cannot be read: ${error.message}`;
  });
