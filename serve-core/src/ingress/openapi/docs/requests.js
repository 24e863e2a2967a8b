// The forms below the endpoints: they send what the reader wants to try, and write it as a command.

/** The fields of the parameters. */
function fieldsOf(parameters) {
  return parameters.map((one) => {
    const example = one.required ? exampleOf(one.schema) : null;
    const value = example === null ? "" : typeof example === "object" ? JSON.stringify(example) : example;
    const mustBeFilled = one.required && !(one.in === "query" && isText(one.schema));
    const input = make("input",
      { value, placeholder: typeOf(one.schema), autocomplete: "off", required: mustBeFilled });
    return { ...one, input };
  });
}

/** True for a type whose values may be empty texts. */
const isText = (schema) => resolved(schema).type === "string" && !resolved(schema).enum;

/** True for a field that is sent: it has a value, or its value is an empty text. */
const isSent = ({ input, required }) => input.value !== "" || (required && !input.required);

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
  const copy = make("button", { type: "button" }, "Copy as curl");
  const outcome = make("p", { class: "hint", "aria-live": "polite" });
  const output = make("pre", { hidden: true, tabindex: "0" });
  let running = null;
  stop.addEventListener("click", () => running?.abort());

  /** What the form says, as a request. */
  function request() {
    const headers = {};
    const cookies = {};
    for (const { name, in: place, input } of inputs) {
      if (input.value === "") continue;
      if (place === "header") headers[name] = input.value;
      if (place === "cookie") cookies[name] = encodeURIComponent(input.value);
    }
    if (text) headers["content-type"] = bodyType;
    if (accept) headers.accept = accept.value;
    return { url: addressOf(base, path, inputs), method: verb.toUpperCase(), headers, cookies };
  }

  async function submit(event) {
    event.preventDefault();
    running = new AbortController();
    send.disabled = true;
    stop.disabled = false;
    output.textContent = "";
    outcome.textContent = "Waiting …";
    const began = performance.now();
    try {
      const { url, method, headers, cookies } = request();
      for (const [name, value] of Object.entries(cookies)) document.cookie = `${name}=${value}; path=/`;
      const response = await fetch(url, {
        method, headers, signal: running.signal,
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

  copy.addEventListener("click", async () => {
    if (!form.reportValidity()) return;
    const command = curlOf(request(), bodyType, fields, text ? text.value : null);
    output.hidden = false;
    output.textContent = command;
    // Only a page of this machine, or one over TLS, may write to the clipboard.
    const copied = navigator.clipboard?.writeText(command) ?? Promise.reject();
    await copied.then(
      () => { outcome.textContent = "Copied."; },
      () => { outcome.textContent = "The browser does not let this page copy:"; });
  });

  const onkeydown = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !running) form.requestSubmit();
  };
  const form = make("form", { onsubmit: submit, onkeydown },
    ...[...inputs, ...fields ?? []].map(labelOf),
    text, make("div", { class: "row" }, send, stop, copy, accept), outcome, output);
  return form;
}

/** A word as a shell reads it. */
const quoted = (word) => /^[\w./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;

/** A request as a command of curl. */
function curlOf({ url, method, headers, cookies }, bodyType, fields, text) {
  const lines = [`curl ${quoted(new URL(url, location.href).href)}`];
  const add = (option, value) => lines.push(`${option} ${quoted(value)}`);
  if (method !== "GET") add("-X", method);
  for (const [name, value] of Object.entries(headers)) add("-H", `${name}: ${value}`);
  for (const [name, value] of Object.entries(cookies)) add("-b", `${name}=${value}`);
  // An answer in pieces is shown piece by piece.
  if (headers.accept && headers.accept !== "application/json") lines.push("-N");
  if (text !== null) add("--data-raw", text);
  const isMultipart = bodyType === "multipart/form-data";
  for (const field of (fields ?? []).filter(isSent)) {
    const { name, input } = field;
    for (const file of input.files ?? []) add("-F", `${name}=@${file.name}`);
    if (!input.files) add(isMultipart ? "--form-string" : "--data-urlencode", `${name}=${input.value}`);
  }
  return lines.join(" \\\n  ");
}

/** The inputs for the fields of a form. */
function formFieldsOf(schema) {
  const isFile = (one) => one?.format === "binary";
  return Object.entries(schema.properties ?? {}).map(([name, one]) => {
    const required = schema.required?.includes(name) ?? false;
    const input = isFile(one) || isFile(one.items)
      ? make("input", { type: "file", multiple: !isFile(one), required })
      : make("input", { placeholder: typeOf(one), autocomplete: "off", required: required && !isText(one) });
    return { name, required, input };
  });
}

/** The body of a form; what was left empty is left out. */
function formOf(bodyType, fields) {
  const form = bodyType === "multipart/form-data" ? new FormData() : new URLSearchParams();
  for (const { name, input } of fields.filter(isSent)) {
    if (input.files) for (const file of input.files) form.append(name, file);
    else form.append(name, input.value);
  }
  return form;
}

function addressOf(base, path, inputs) {
  const query = new URLSearchParams();
  let filled = path;
  for (const field of inputs) {
    const { name, in: place, input } = field;
    if (place === "path") filled = filled.replace(`{${name}}`, () => encodeURIComponent(input.value));
    else if (place === "query" && isSent(field)) query.append(name, input.value);
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
