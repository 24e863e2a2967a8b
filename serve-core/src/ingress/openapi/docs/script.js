"use strict";
// Shows openapi.json, and sends what the reader wants to try. Everything that comes from
// the document is set as text, never as HTML.

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
const descriptionOf = (schema) =>
  schema?.description ? make("span", { class: "hint" }, `  ${schema.description}`) : null;

function typeLink(schema) {
  const target = nameOf(schema) ?? nameOf(schema?.items);
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
  if (operation.description) section.append(make("p", {}, operation.description));
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
      make("span", { class: "hint" }, operation.summary ?? "")), section);
}

/** What comes back; the ways to fail, which are many and much the same, folded away. */
function responses(all) {
  const entries = Object.entries(all);
  const isSuccess = ([status]) => status.startsWith("2") || status === "101";
  const failures = entries.filter((entry) => !isSuccess(entry));
  const names = failures.map(([status]) => (status === "default" ? "others" : status)).join(", ");
  return make("div", {}, tableOf(entries.filter(isSuccess)),
    make("details", { class: "more" }, make("summary", {}, `Errors: ${names}`), tableOf(failures)));
}

function tableOf(entries) {
  return make("table", {}, ...entries.map(([status, response]) => {
    const kinds = Object.entries(response.content ?? {});
    return make("tr", {},
      make("td", {}, make("code", { class: status < 400 ? "ok" : "" }, status)),
      make("td", { class: "wide" }, make("span", { class: "hint" }, response.description),
        ...kinds.map(([type, { schema }]) => make("div", {}, make("code", {}, type), "  ",
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

/** The fields of the parameters. */
function fieldsOf(parameters) {
  return parameters.map((one) => {
    const example = one.required ? exampleOf(one.schema) : null;
    const value = example === null ? "" : typeof example === "object" ? JSON.stringify(example) : example;
    return { ...one, input: make("input", { value, placeholder: typeOf(one.schema), autocomplete: "off" }) };
  });
}

const labelOf = (one) => make("label", {}, make("span", {}, make("code", {}, one.name),
  one.required ? requiredMark() : null), one.input);

/** The form that opens a WebSocket and sends messages, and all that is said. */
function conversation(base, path, { in: sent, formats }, parameters) {
  const inputs = fieldsOf(parameters);
  const isJson = formats.in === "json";
  const text = make("textarea", { spellcheck: "false", "aria-label": "Message", class: "message" },
    isJson ? JSON.stringify(exampleOf(sent), null, 2) : "");
  const connect = make("button", { class: "main", type: "submit" }, "Connect");
  const send = make("button", { type: "button", disabled: true }, "Send");
  const close = make("button", { type: "button", disabled: true }, "Close");
  const outcome = make("p", { class: "hint", "aria-live": "polite" });
  const log = make("ol", { class: "log", hidden: true, tabindex: "0", "aria-label": "Messages" });
  let socket = null;

  function say(who, what) {
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    log.hidden = false;
    log.append(make("li", { class: who }, make("span", { class: "hint" },
      { sent: "↑", received: "↓", state: "·" }[who]), make("span", { class: "mono" }, what)));
    // A socket may talk for hours.
    while (log.children.length > 500) log.firstChild.remove();
    if (atEnd) log.scrollTop = log.scrollHeight;
  }

  function update() {
    const open = socket?.readyState === WebSocket.OPEN;
    connect.disabled = socket !== null;
    send.disabled = !open;
    close.disabled = socket === null;
  }

  function submit(event) {
    event.preventDefault();
    if (socket) return;
    const address = new URL(addressOf(base, path, inputs), location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    outcome.textContent = "Connecting …";
    try {
      socket = new WebSocket(address);
    } catch (error) {
      outcome.textContent = `Failed: ${error.message}`;
      return;
    }
    socket.binaryType = "arraybuffer";
    let opened = false;
    socket.onopen = () => {
      opened = true;
      outcome.replaceChildren(make("span", { class: "status ok" }, "Open"), `  ${address}`);
      update();
      text.focus();
    };
    socket.onmessage = ({ data }) =>
      say("received", typeof data === "string" ? data : `${data.byteLength} bytes: ${hexOf(data)}`);
    socket.onclose = ({ code, reason, wasClean }) => {
      const why = opened ? `Closed with ${code}${reason ? `: ${reason}` : ""}`
        : "The server refused the WebSocket; the access log says with which status.";
      outcome.replaceChildren(
        make("span", { class: `status ${opened && wasClean && code < 1002 ? "ok" : "fail"}` }, why));
      if (opened) say("state", why);
      socket = null;
      update();
    };
    update();
  }

  function transmit() {
    if (socket?.readyState !== WebSocket.OPEN) return;
    let message = text.value;
    if (isJson) {
      // On one line, if it is JSON; if not, the server says what is wrong.
      try { message = JSON.stringify(JSON.parse(message)); } catch { /* sent as it is */ }
    }
    socket.send(formats.in === "binary" ? new TextEncoder().encode(message) : message);
    say("sent", message);
  }

  send.addEventListener("click", transmit);
  close.addEventListener("click", () => socket?.close(1000));
  const onkeydown = (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    if (socket) transmit(); else form.requestSubmit();
  };
  const form = make("form", { onsubmit: submit, onkeydown }, ...inputs.map(labelOf), text,
    make("div", { class: "row" }, connect, send, close,
      make("span", { class: "hint" }, formats.in === "binary" ? "sent as bytes of UTF-8" : "")),
    outcome, log);
  return form;
}

/** The first bytes of a binary message. */
function hexOf(buffer) {
  const bytes = [...new Uint8Array(buffer, 0, Math.min(32, buffer.byteLength))];
  const hex = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return buffer.byteLength > 32 ? `${hex} …` : hex;
}

/** The form that sends a request, and what comes back. */
function trial(base, path, verb, operation, parameters, bodyType, body) {
  const inputs = fieldsOf(parameters);
  const isJson = bodyType === "application/json";
  const fields = ["multipart/form-data", "application/x-www-form-urlencoded"].includes(bodyType)
    ? formFieldsOf(body.schema) : null;
  const text = bodyType && !fields &&
    make("textarea", { spellcheck: "false", "aria-label": "Body" },
      isJson ? JSON.stringify(exampleOf(body.schema), null, 2) : "");
  const success = Object.keys(operation.responses).find((status) => status.startsWith("2"));
  const accepts = Object.keys(operation.responses[success]?.content ?? {});
  // As produced, so that a stream shows as it comes.
  const usual = accepts.find((type) => !["application/json", "text/event-stream"].includes(type));
  const accept = accepts.length > 1
    ? make("select", { "aria-label": "Accept" },
      ...accepts.map((type) => make("option", { selected: type === usual }, type))) : null;
  const send = make("button", { class: "main", type: "submit" }, "Send");
  const stop = make("button", { type: "button", disabled: true }, "Stop");
  const outcome = make("p", { class: "hint", "aria-live": "polite" });
  const output = make("pre", { hidden: true, tabindex: "0" });
  let running = null;
  stop.addEventListener("click", () => running?.abort());

  async function submit(event) {
    event.preventDefault();
    running = new AbortController();
    send.disabled = true;
    stop.disabled = false;
    output.textContent = "";
    outcome.textContent = "Waiting …";
    const began = performance.now();
    try {
      const headers = {};
      for (const { name, in: place, input } of inputs) {
        if (input.value === "") continue;
        if (place === "header") headers[name] = input.value;
        if (place === "cookie") document.cookie = `${name}=${encodeURIComponent(input.value)}; path=/`;
      }
      if (isJson) headers["content-type"] = bodyType;
      if (accept) headers.accept = accept.value;
      const response = await fetch(addressOf(base, path, inputs), {
        method: verb.toUpperCase(), headers, signal: running.signal,
        body: fields ? formOf(bodyType, fields) : text ? text.value : undefined,
      });
      const say = (more) => outcome.replaceChildren(
        make("span", { class: `status ${response.ok ? "ok" : "fail"}` }, `${response.status} ${response.statusText}`),
        `  ${response.headers.get("content-type") ?? ""}  ${Math.round(performance.now() - began)} ms${more}`);
      say("");
      output.hidden = false;
      await show(response, output);
      say(`  request ${response.headers.get("x-request-id") ?? ""}`);
    } catch (error) {
      outcome.textContent = error.name === "AbortError" ? "Stopped." : `Failed: ${error.message}`;
    }
    running = null;
    send.disabled = false;
    stop.disabled = true;
  }

  const onkeydown = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !running) form.requestSubmit();
  };
  const form = make("form", { onsubmit: submit, onkeydown },
    ...[...inputs, ...fields ?? []].map(labelOf),
    text, make("div", { class: "row" }, send, stop, accept), outcome, output);
  return form;
}

/** The inputs for the fields of a form. */
function formFieldsOf(schema) {
  const isFile = (one) => one?.format === "binary";
  return Object.entries(schema.properties ?? {}).map(([name, one]) => {
    const required = schema.required?.includes(name);
    const input = isFile(one) || isFile(one.items)
      ? make("input", { type: "file", multiple: !isFile(one) })
      : make("input", { placeholder: typeOf(one), autocomplete: "off" });
    return { name, required, input };
  });
}

/** The body of a form; what was left empty is left out. */
function formOf(bodyType, fields) {
  const form = bodyType === "multipart/form-data" ? new FormData() : new URLSearchParams();
  for (const { name, input } of fields) {
    if (input.files) for (const file of input.files) form.append(name, file);
    else if (input.value !== "") form.append(name, input.value);
  }
  return form;
}

function addressOf(base, path, inputs) {
  const query = new URLSearchParams();
  let filled = path;
  for (const { name, in: place, input } of inputs) {
    if (place === "path") filled = filled.replace(`{${name}}`, encodeURIComponent(input.value));
    else if (place === "query" && input.value !== "") query.append(name, input.value);
  }
  const text = query.toString();
  return base + filled + (text ? `?${text}` : "");
}

/** The body as it comes; JSON is set out once it is whole. */
async function show(response, output) {
  const type = response.headers.get("content-type") ?? "";
  if (type.startsWith("application/octet-stream")) {
    const bytes = await response.arrayBuffer();
    output.textContent = `${bytes.byteLength} bytes`;
    return;
  }
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  for (let part = await reader?.read(); part && !part.done; part = await reader.read()) {
    output.append(part.value);
  }
  if (type.startsWith("application/json")) {
    try {
      output.textContent = JSON.stringify(JSON.parse(output.textContent), null, 2);
    } catch { /* shown as it came */ }
  }
  if (output.textContent === "") output.textContent = "(empty)";
}

function filter() {
  const wanted = at("filter").value.toLowerCase();
  for (const card of at("endpoints").children) {
    card.hidden = !card.firstChild.textContent.toLowerCase().includes(wanted);
  }
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
  for (const [path, verbs] of Object.entries(api.paths)) {
    for (const [verb, operation] of Object.entries(verbs)) {
      at("endpoints").append(endpoint(base, path, verb, operation));
    }
  }
  if (!at("endpoints").children.length) {
    at("endpoints").append(make("p", { class: "hint" }, "This application has no typed endpoints."));
  }
  const named = Object.entries(schemas);
  at("schemas-section").hidden = !named.length;
  at("schemas").append(...named.map(([name, schema]) =>
    make("details", { class: "card", id: `schema-${name}` },
      make("summary", {}, make("code", {}, name), make("span", { class: "hint" }, schema.description ?? "")),
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
