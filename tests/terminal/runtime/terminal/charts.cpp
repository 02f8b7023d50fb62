#include "terminal/terminal.hpp"
#include "trading/broker.hpp"

namespace {
struct Object {
    int type;
    std::map<int, long> integers;
    std::map<int, double> doubles;
    std::map<int, std::string> strings;
};
} // namespace

static std::map<std::string, Object> objects;

static Object *object(const string &name) {
    auto found = objects.find(name.utf8());
    if (found != objects.end())
        return &found->second;
    fail_(4202);
    return nullptr;
}

bool ObjectCreate(long, const string &name, ENUM_OBJECT type, int, datetime, double) {
    objects[name.utf8()].type = type;
    return true;
}

bool ObjectDelete(long, const string &name) { return objects.erase(name.utf8()) || fail_(4202); }

int ObjectsDeleteAll(long, const string &prefix, int, int type) {
    return (int)std::erase_if(objects, [&](auto &each) {
        return each.first.starts_with(prefix.utf8()) && (type < 0 || each.second.type == type);
    });
}

int ObjectsDeleteAll(long chart, int window, int type) {
    return ObjectsDeleteAll(chart, string(u""), window, type);
}

int ObjectFind(long, const string &name) { return object(name) ? 0 : -1; }

int ObjectsTotal(long, int, int type) {
    int count = 0;
    for (auto &each : objects)
        count += type < 0 || each.second.type == type;
    return count;
}

string ObjectName(long, int index, int, int type) {
    for (auto &[name, each] : objects)
        if ((type < 0 || each.type == type) && index-- == 0)
            return string::utf8(name);
    return string(u"");
}

bool ObjectSetInteger(long, const string &name, ENUM_OBJECT_PROPERTY_INTEGER p, long value) {
    Object *o = object(name);
    if (o)
        o->integers[p] = value;
    return o;
}

bool ObjectSetDouble(long, const string &name, ENUM_OBJECT_PROPERTY_DOUBLE p, double value) {
    Object *o = object(name);
    if (o)
        o->doubles[p] = value;
    return o;
}

bool ObjectSetString(long, const string &name, ENUM_OBJECT_PROPERTY_STRING p, const string &value) {
    Object *o = object(name);
    if (o)
        o->strings[p] = value.utf8();
    return o;
}

long ObjectGetInteger(long, const string &name, ENUM_OBJECT_PROPERTY_INTEGER p) {
    Object *o = object(name);
    return !o ? 0 : p == OBJPROP_TYPE ? o->type : o->integers[p];
}

double ObjectGetDouble(long, const string &name, ENUM_OBJECT_PROPERTY_DOUBLE p) {
    Object *o = object(name);
    return o ? o->doubles[p] : 0;
}

string ObjectGetString(long, const string &name, ENUM_OBJECT_PROPERTY_STRING p) {
    Object *o = object(name);
    return !o ? string(u"") : p == OBJPROP_NAME ? name : string::utf8(o->strings[p]);
}

void ChartRedraw(long) {}

long ChartID() { return 1; }

string ChartSymbol(long) { return Symbol(); }

bool EventChartCustom(long, ushort, long, double, const string &s) {
    imitation::terminal.custom_events.push_back(s.utf8());
    return true;
}

bool SendNotification(const string &text) {
    imitation::say("push " + text.utf8());
    return true;
}

bool SendMail(const string &subject, const string &) {
    imitation::say("mail " + subject.utf8());
    return true;
}

bool PlaySound(const string &) { return true; }

int MessageBox(const string &, const string &, int) { return 1; }

std::string imitation::objects_json() {
    std::string out;
    for (auto &[name, each] : objects)
        out += (out.empty() ? "" : ",") + quoted(name) + ":" + quoted(each.strings[OBJPROP_TEXT]);
    return "{" + out + "}";
}
