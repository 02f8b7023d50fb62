#include "trading/account.hpp"
#include "terminal/clock.hpp"
#include <algorithm>
#include <sstream>

namespace imitation {
// ---- one record a line, its fields separated by tabs
template <class T> static std::string line_of(char kind, T record) {
    std::ostringstream out;
    out.precision(12);
    out << kind;
    record.each([&](auto &field) { out << '\t' << field; });
    return out.str() + "\n";
}

template <class T> static T record_of(const std::string &line) {
    std::istringstream in(line.substr(2));
    T record;
    record.each([&](auto &field) {
        std::string text;
        std::getline(in, text, '\t');
        if constexpr (std::is_same_v<std::decay_t<decltype(field)>, std::string>)
            field = text;
        else
            std::istringstream(text) >> field;
    });
    return record;
}

static std::string folder() {
    const char *shared = getenv("ACCOUNTS");
    return shared ? std::string(shared) + "/" : std::string();
}

void Account::open(long number, std::string at) {
    *this = Account();
    login = number;
    server = at;
    m_path = folder() + "account-" + std::to_string(login) + "-" + server;
    refresh();
}

bool Account::refresh() {
    long stamp = stamp_of(m_path);
    if (stamp == m_stamp)
        return false;
    m_stamp = stamp;
    read_state();
    read_history();
    return true;
}

void Account::read_state() {
    positions.clear();
    orders.clear();
    unseen.clear();
    executions.clear();
    std::istringstream in(read_file(m_path));
    std::string line;
    while (std::getline(in, line)) {
        if (line[0] == 'A')
            std::istringstream(line.substr(2)) >> next >> balance;
        else if (line[0] == 'P')
            positions.push_back(record_of<Position>(line));
        else if (line[0] == 'O')
            orders.push_back(record_of<Order>(line));
        else if (line[0] == 'U')
            unseen.push_back(record_of<Order>(line));
        else if (line[0] == 'E')
            executions.push_back(record_of<Execution>(line));
    }
}

void Account::read_history() {
    std::string all = read_file(history_path());
    std::istringstream in(all.substr(std::min(m_read, all.size())));
    m_read = all.size();
    std::string line;
    while (std::getline(in, line)) {
        if (line[0] == 'D')
            deals.push_back(record_of<Deal>(line));
        else
            finished.push_back(record_of<Order>(line));
    }
}

void Account::save() {
    std::ostringstream out;
    out.precision(12);
    out << "A " << next << ' ' << balance << '\n';
    for (auto &each : positions)
        out << line_of('P', each);
    for (auto &each : orders)
        out << line_of('O', each);
    for (auto &each : unseen)
        out << line_of('U', each);
    for (auto &each : executions)
        out << line_of('E', each);
    write_file(m_path, out.str());
    m_stamp = stamp_of(m_path);
}

void Account::append(const std::string &line) {
    FILE *file = fopen(history_path().c_str(), "a");
    fputs(line.c_str(), file);
    fclose(file);
    m_read += line.size();
}

Position *Account::position(ulong ticket) {
    auto at = std::ranges::find(positions, ticket, &Position::ticket);
    return at == positions.end() ? nullptr : &*at;
}

Position *Account::position_of(const std::string &symbol) {
    auto at = std::ranges::find(positions, symbol, &Position::symbol);
    return at == positions.end() ? nullptr : &*at;
}

Order *Account::order(ulong ticket) {
    auto at = std::ranges::find(orders, ticket, &Order::ticket);
    return at == orders.end() ? nullptr : &*at;
}

double Account::net(const std::string &symbol) const {
    double sum = 0;
    for (auto &each : positions)
        sum += each.symbol == symbol ? each.lots() : 0;
    return std::round(sum * 1e8) / 1e8;
}

void Account::add(const Deal &deal) {
    deals.push_back(deal);
    balance += deal.profit;
    append(line_of('D', deal));
}

void Account::finish(Order order, int state) {
    order.state = state;
    order.done = server_time_ms();
    std::erase_if(orders, [&](auto &each) { return each.ticket == order.ticket; });
    finished.push_back(order);
    append(line_of('F', order));
}

Change::Change(Account &account) : m_account(account) {
    if (account.m_changing++)
        return;
    account.m_lock = std::make_unique<FileLock>(account.m_path);
    account.refresh();
}

Change::~Change() {
    if (--m_account.m_changing)
        return;
    m_account.save();
    m_account.m_lock.reset();
}
} // namespace imitation
