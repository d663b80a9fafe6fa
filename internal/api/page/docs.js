// The page is built from /openapi.json alone: each operation is a form that
// sends a real request and shows the answer.
"use strict";

// element makes an HTML element; text never becomes markup.
function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== undefined && child !== ""));
  return node;
}

let spec;

// resolve follows a $ref into the document.
function resolve(schema) {
  while (schema && schema.$ref) {
    schema = schema.$ref.slice(2).split("/").reduce((node, key) => node[key], spec);
  }
  return schema || {};
}

// example is a value of a schema, to begin with.
function example(schema) {
  schema = resolve(schema);
  if (schema.examples) return schema.examples[0];
  if (schema.default !== undefined) return schema.default;
  const type = [].concat(schema.type)[0];
  switch (type) {
    case "object":
      return Object.fromEntries(Object.entries(schema.properties || {}).map(([name, s]) => [name, example(s)]));
    case "array":
      return [example(schema.items)];
    case "integer":
    case "number":
      return schema.minimum || 0;
    case "boolean":
      return false;
    default:
      return "text";
  }
}

// limits says in words what a schema demands.
function limits(schema) {
  const words = [];
  const add = (key, before, after = "") => schema[key] !== undefined && words.push(before + " " + schema[key] + after);
  add("minLength", "at least", " characters");
  add("maxLength", "at most", " characters");
  add("minimum", "at least");
  add("maximum", "at most");
  add("default", "default");
  return words.join(", ");
}

function shape(schema, depth = 0) {
  schema = resolve(schema);
  if (schema.type === "array" || [].concat(schema.type).includes("array")) return "[" + shape(schema.items, depth) + ", …]";
  if (!schema.properties) return [].concat(schema.type).join(" or ") + (schema.format ? " (" + schema.format + ")" : "");
  const pad = "  ".repeat(depth + 1);
  const required = new Set(schema.required || []);
  return "{\n" + Object.entries(schema.properties).map(([name, s]) =>
    pad + name + (required.has(name) ? "" : "?") + ": " + shape(s, depth + 1)).join(",\n") + "\n" + "  ".repeat(depth) + "}";
}

function parameterField(id, parameter) {
  const schema = resolve(parameter.schema);
  const input = element("input", {
    id, name: parameter.name, "data-in": parameter.in, required: parameter.required, autocomplete: "off",
    placeholder: schema.default, inputmode: schema.type === "integer" ? "numeric" : undefined,
  });
  const notes = [parameter.description, limits(schema)].filter(Boolean).join(" — ");
  return element("div", {},
    element("label", { for: id }, parameter.name + " ", element("small", {}, parameter.in + (parameter.required ? ", required" : ""))),
    input, element("div", { class: "hint" }, notes));
}

function renderOperation(path, method, operation) {
  const id = operation.operationId;
  const form = element("form", { id: "form-" + id, novalidate: true });
  const parameters = operation.parameters || [];
  for (const parameter of parameters) form.append(parameterField(id + "-" + parameter.name, parameter));

  const content = operation.requestBody && operation.requestBody.content["application/json"];
  if (content) {
    form.append(
      element("label", { for: id + "-body" }, "Body ", element("small", {}, "application/json")),
      element("textarea", { id: id + "-body", name: "body", spellcheck: "false" }, JSON.stringify(example(content.schema), null, 2)),
      element("pre", {}, shape(content.schema)));
  }
  form.append(element("button", {}, "Send"));
  const result = element("div", { id: "result-" + id, role: "status" });

  const rows = Object.entries(operation.responses).sort().map(([status, response]) =>
    element("tr", {}, element("th", { scope: "row" }, status), element("td", {}, response.description)));

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      await send(path, method, form, !!content, result);
    } catch (error) {
      result.replaceChildren(element("p", { class: "wrong" }, "No answer: " + error.message));
    } finally {
      button.disabled = false;
    }
  });

  return element("details", { id },
    element("summary", {}, element("span", { class: "method " + method }, method.toUpperCase()), element("code", {}, path), element("span", {}, operation.summary)),
    element("div", { class: "body" },
      element("p", {}, operation.description || ""), form, result,
      element("h3", {}, "Answers"), element("table", {}, ...rows)));
}

async function send(path, method, form, hasBody, result) {
  let url = path;
  const query = new URLSearchParams();
  const headers = {};
  for (const input of form.querySelectorAll("input")) {
    if (input.dataset.in === "path") url = url.replace("{" + input.name + "}", encodeURIComponent(input.value));
    else if (input.value === "") continue;
    else if (input.dataset.in === "query") query.append(input.name, input.value);
    else headers[input.name] = input.value;
  }
  if (String(query)) url += "?" + query;
  const request = { method: method.toUpperCase(), headers };
  if (hasBody) {
    headers["Content-Type"] = "application/json";
    request.body = form.querySelector("textarea").value;
  }
  const began = performance.now();
  const response = await fetch(url, request);
  const text = await response.text();
  const took = Math.round(performance.now() - began);
  let shown = text;
  try {
    shown = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // Not JSON: shown as it is.
  }
  const curl = ["curl -X " + request.method, ...Object.entries(headers).map(([k, v]) => "-H " + quote(k + ": " + v)),
    ...(request.body ? ["-d " + quote(request.body)] : []), quote(location.origin + url)].join(" ");
  result.replaceChildren(
    element("h3", { class: response.ok ? "" : "wrong" }, response.status + " " + response.statusText + " (" + took + " ms)"),
    element("pre", { class: "headers" }, [...response.headers].map(([k, v]) => k + ": " + v).join("\n")),
    shown && element("pre", { class: "answer" }, shown),
    element("h3", {}, "The same with curl"), element("pre", {}, curl));
}

// quote makes one word of a shell's.
const quote = (text) => "'" + text.replaceAll("'", "'\\''") + "'";

async function main() {
  const main = document.getElementById("operations");
  try {
    spec = await (await fetch("/openapi.json")).json();
  } catch (error) {
    main.replaceChildren(element("p", { class: "wrong" }, "Could not load the OpenAPI document: " + error.message));
    return;
  }
  document.getElementById("title").textContent = spec.info.title + " API " + spec.info.version;
  document.getElementById("about").textContent = spec.info.description || "";
  const order = ["get", "post", "put", "patch", "delete"];
  const all = Object.entries(spec.paths).flatMap(([path, item]) =>
    order.filter((method) => item[method]).map((method) => renderOperation(path, method, item[method])));
  main.replaceChildren(...all);
}

main();
