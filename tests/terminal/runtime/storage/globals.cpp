// Global variables of the terminal. The programs of one terminal are processes here, so the
// variables stand in a file of the data folder; a lock makes each change one step.
#include "mql5.hpp"
#include "storage/shared_file.hpp"
#include <csignal>
#include <sstream>
#include <unistd.h>

static const char *FILE_NAME = "gvariables.dat";

namespace {
struct Variable {
    double value = 0;
    long used = 0;  // seconds, local time
    long maker = 0; // the process of a temporary variable; 0 = it is kept over restarts
};

typedef std::map<std::string, Variable> Variables;
} // namespace

static bool lives(const Variable &v) { return v.maker == 0 || kill((pid_t)v.maker, 0) == 0; }

static Variables read_all() {
    Variables all;
    std::istringstream in(read_file(FILE_NAME));
    std::string name;
    while (std::getline(in, name, '\t')) {
        Variable v;
        in >> v.value >> v.used >> v.maker;
        in.ignore(1);
        if (lives(v))
            all[name] = v;
    }
    return all;
}

static void write_all(const Variables &all) {
    std::ostringstream out;
    out.precision(17);
    for (auto &[name, v] : all)
        out << name << '\t' << v.value << ' ' << v.used << ' ' << v.maker << '\n';
    write_file(FILE_NAME, out.str());
}

// Calls `change` with the variables; they are written when it returns true.
template <class F> static bool changed(F change) {
    FileLock lock(FILE_NAME);
    Variables all = read_all();
    if (!change(all))
        return false;
    write_all(all);
    return true;
}

bool GlobalVariableCheck(const string &name) { return read_all().count(name.utf8()); }

bool GlobalVariableGet(const string &name, double &value) {
    Variables all = read_all();
    auto found = all.find(name.utf8());
    if (found == all.end())
        return fail_(4501);
    value = found->second.value;
    return true;
}

double GlobalVariableGet(const string &name) {
    double value = 0;
    GlobalVariableGet(name, value);
    return value;
}

datetime GlobalVariableSet(const string &name, double value) {
    long now = TimeLocal();
    changed([&](Variables &all) {
        Variable &v = all[name.utf8()];
        v.value = value;
        v.used = now;
        return true;
    });
    return now;
}

bool GlobalVariableSetOnCondition(const string &name, double value, double expected) {
    return changed([&](Variables &all) {
        auto found = all.find(name.utf8());
        if (found == all.end())
            return fail_(4501);
        if (found->second.value != expected)
            return false;
        found->second.value = value;
        found->second.used = TimeLocal();
        return true;
    });
}

bool GlobalVariableTemp(const string &name) {
    Variable fresh{0, TimeLocal(), getpid()};
    bool made = changed([&](Variables &all) { return all.emplace(name.utf8(), fresh).second; });
    return made || fail_(4502);
}

bool GlobalVariableDel(const string &name) {
    return changed([&](Variables &all) { return all.erase(name.utf8()) > 0; }) || fail_(4501);
}

datetime GlobalVariableTime(const string &name) {
    Variables all = read_all();
    auto found = all.find(name.utf8());
    return found == all.end() ? (fail_(4501), 0) : found->second.used;
}

int GlobalVariablesTotal() { return (int)read_all().size(); }

string GlobalVariableName(int index) {
    for (auto &[name, v] : read_all())
        if (index-- == 0)
            return string::utf8(name);
    fail_(4501);
    return string();
}

int GlobalVariablesDeleteAll(const string &prefix, datetime limit) {
    int count = 0;
    changed([&](Variables &all) {
        count = (int)std::erase_if(all, [&](auto &each) {
            return each.first.starts_with(prefix.utf8()) &&
                   (limit == 0 || each.second.used < limit);
        });
        return count > 0;
    });
    return count;
}

void GlobalVariablesFlush() {} // each change is in the file already
